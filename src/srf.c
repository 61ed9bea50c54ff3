/*-------------------------------------------------------------------------
 *
 * srf.c
 *	  Functions that return a set of rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "srf.h"
#include "utils/tuplestore.h"

/*
 * Prepares a set-returning function to put its rows into a tuplestore, which
 * spills to disk beyond work_mem.  The caller adds rows with
 * tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls) and
 * returns (Datum) 0.
 *
 * A caller that does not take a set this way is an error.
 */
ReturnSetInfo *
InitMaterializedResult(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext oldcontext;
	TupleDesc	desc;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	if (!(rsinfo->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("materialize mode required, but it is not allowed in this context")));

	/* Rows and their description live as long as the caller's query. */
	oldcontext = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = tuplestore_begin_heap((rsinfo->allowedModes & SFRM_Materialize_Random) != 0,
											  false, work_mem);
	rsinfo->setDesc = desc;

	MemoryContextSwitchTo(oldcontext);

	return rsinfo;
}
