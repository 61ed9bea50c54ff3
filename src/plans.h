/*-------------------------------------------------------------------------
 *
 * plans.h
 *	  Saved plans of the extension's own queries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PLANS_H
#define DS_PLANS_H

#include "executor/spi.h"

/*
 * Where a backend keeps the plan of one query: a static variable that starts
 * as zeros.
 */
typedef struct PlanSlot
{
	SPIPlanPtr	plan;
	Oid			relation;		/* datastream.heads when the plan was made */
} PlanSlot;

extern SPIPlanPtr PreparedPlan(PlanSlot *slot, const char *query, int nargs, const Oid *argtypes);
extern uint64 RunSavedQuery(PlanSlot *slot, const char *query, int nargs, const Oid *argtypes,
							Datum *values, const char *nulls, bool read_only);
extern uint64 RunPlan(SPIPlanPtr plan, Datum *values, const char *nulls, bool read_only);
extern Portal OpenPlan(SPIPlanPtr plan, Datum *values, bool read_only);
extern uint64 FetchRows(Portal portal, long count);
extern void ForgetPlans(const char *table);
extern Oid	BlockTypeOid(void);

#endif							/* DS_PLANS_H */
