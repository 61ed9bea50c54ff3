/*-------------------------------------------------------------------------
 *
 * statement.h
 *	  The statement that a client has sent, and the queries that run in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_STATEMENT_H
#define DS_STATEMENT_H

extern void InitStatements(void);
extern uint64 CurrentStatement(void);
extern bool InAppendingQuery(void);
extern void NoteAppendFunction(Oid function);

#endif							/* DS_STATEMENT_H */
