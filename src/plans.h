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
	bool		planned;		/* it has been run */
	bool		needs_bitmap;	/* the index that it goes by has no order */
} PlanSlot;

extern PlanSlot *PreparedPlan(PlanSlot *slot, const char *query, int nargs, const Oid *argtypes);
extern uint64 RunSavedQuery(PlanSlot *slot, const char *query, int nargs, const Oid *argtypes,
							Datum *values, const char *nulls, bool read_only);
extern uint64 RunPlan(PlanSlot *slot, Datum *values, const char *nulls, bool read_only);
extern Portal OpenPlan(PlanSlot *slot, Datum *values, bool read_only);
extern uint64 FetchRows(Portal portal, long count);
extern Oid	HeadsRelation(void);
extern Oid	BlockTypeOid(void);

#endif							/* DS_PLANS_H */
