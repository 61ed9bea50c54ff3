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
extern void RefuseExpired(const StreamDef *def, StreamTime expired_until, StreamTime t);
extern void NoteFrozen(const StreamDef *def, int64 count, StreamTime from, StreamTime to);
extern void WarnOfFrozen(void);
extern void ForgetFrozen(void);
extern void InitLate(void);
extern void InsertLate(StreamHead *head, const DataBlock *rows);
extern void InsertLateRows(StreamHead *head, const DataBlock *rows, const StreamProgress *progress);
extern void AppendInOrder(StreamHead *head, const DataBlock *rows);
extern void AppendInAnyOrder(StreamHead *head, const DataBlock *rows);
extern bool TryAppend(StreamHead *head, const DataBlock *rows);

#endif							/* DS_APPEND_H */
