/*-------------------------------------------------------------------------
 *
 * derive_run.h
 *	  One run of a derive operator over its sources.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DERIVE_RUN_H
#define DS_DERIVE_RUN_H

#include "source.h"

/*
 * A run makes the derived datapoints in [from, to], from the sources alone: it
 * looks back at what lies before.  One that goes on notes in the sources how far
 * it has read them; it may begin at a datapoint that has been read, of which
 * "skip" (counting those of equal time) make nothing again.  A run that only
 * checks does not warn.
 *
 * Of an operator that joins its sources, "from" and "to" are the start of a bucket
 * of the derived stream and the end of one; and where a run is limited, by "to",
 * it is the caller who notes how far it has read.
 */
typedef struct DeriveRun
{
	const StreamDef *def;
	int			nsources;
	Source	   *sources;
	StreamTime	from;
	StreamTime	to;
	bool		forward;
	bool		quiet;
	int			skip;

	/* Takes what the run makes; values are copied. */
	void		(*emit) (struct DeriveRun *run, StreamTime t, const Value *value);
	void	   *emit_state;
} DeriveRun;

extern void RunSum(DeriveRun *run);
extern void RunDerivative(DeriveRun *run);
extern void RunCounterReset(DeriveRun *run);
extern void RunCounterDerivative(DeriveRun *run);

#endif							/* DS_DERIVE_RUN_H */
