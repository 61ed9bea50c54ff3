/*-------------------------------------------------------------------------
 *
 * append.h
 *	  What appending one datapoint and appending many have in common.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_APPEND_H
#define DS_APPEND_H

#include "store.h"

extern void RefuseDerived(const StreamDef *def);
extern void RefuseOld(const StreamHead *head, StreamTime t);
extern void AppendInOrder(StreamHead *head, const DataBlock *rows);
extern void AppendInAnyOrder(StreamHead *head, const DataBlock *rows);
extern bool TryAppend(StreamHead *head, const DataBlock *rows);

#endif							/* DS_APPEND_H */
