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
 * looks back at what lies before.  A run that goes on where the last one ended
 * begins at the last datapoint read, of which "skip" (counting those of equal
 * time) make nothing again, and notes in the sources how far it has read.
 */
typedef struct DeriveRun
{
	const StreamDef *def;
	int			nsources;
	Source	   *sources;
	StreamTime	from;
	StreamTime	to;
	bool		forward;
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
