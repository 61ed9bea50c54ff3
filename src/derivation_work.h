/*-------------------------------------------------------------------------
 *
 * derivation_work.h
 *	  A derived stream that is being brought up to date, for derivation*.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DERIVATION_WORK_H
#define DS_DERIVATION_WORK_H

#include "derive_run.h"
#include "range_set.h"

typedef struct Derivation
{
	StreamHead	head;
	StreamProgress progress;
	int			nsources;
	Source	   *sources;

	/* What has changed in them, each in its own time */
	bool		has_changes;	/* something has been noted */
	RangeSet   *changes;		/* of each source */

	/* Derived datapoints on their way to the head */
	DataBlock  *rows;
	MemoryContext rows_context;
	MemoryContext head_context;
	bool		changed;		/* some are new or have changed, */
	RangeSet	redone;			/* not behind its latest one in these times */
	bool		advanced;		/* sources have been read further, */
	bool		passed;			/* beyond a bucket, with nothing made of it */
	int64		datapoints;		/* derived */
	bool		more;			/* there is more to derive than was allowed at once */
} Derivation;

/* derivation.c */
extern Source *FollowedSource(const Derivation *derivation);
extern bool JoinsSources(const Derivation *derivation);
extern void InitRun(DeriveRun *run, Derivation *derivation, StreamTime from, StreamTime to);
extern void SaveDerivation(Derivation *derivation);
extern void RemakeDerived(Derivation *derivation, StreamTime from, StreamTime to);
extern StreamTime SourceLimit(const Source *source, StreamTime from, int max_blocks);
extern void AlignRange(const Derivation *derivation, StreamTime *from, StreamTime *to);

/* derivation_sources.c */
extern void LoadSources(Derivation *derivation);
extern bool SaveSources(Derivation *derivation, const Source *old);
extern int	TakeChanges(Derivation *derivation, NotedChange **noted);
extern void KeepChanges(Derivation *derivation, StreamTime from);
extern void ReadSideSources(Derivation *derivation);
extern void SkipSideSources(Derivation *derivation);

/* derivation_redo.c */
extern StreamTime RederivableFrom(const Derivation *derivation);
extern StreamTime JoinFrom(const Derivation *derivation);
extern void RedoChanges(Derivation *derivation, int max_blocks);

/* derivation_check.c */
extern void MendDerived(Derivation *derivation);

#endif							/* DS_DERIVATION_WORK_H */
