/*-------------------------------------------------------------------------
 *
 * srf.h
 *	  Functions that return a set of rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_SRF_H
#define DS_SRF_H

#include "fmgr.h"
#include "nodes/execnodes.h"

extern ReturnSetInfo *InitMaterializedResult(FunctionCallInfo fcinfo);

#endif							/* DS_SRF_H */
