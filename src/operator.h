/*-------------------------------------------------------------------------
 *
 * operator.h
 *	  The derive operators, and what each asks of its sources and arguments.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_OPERATOR_H
#define DS_OPERATOR_H

#include "stream.h"

/* One source of a derived stream */
typedef struct DeriveSource
{
	StreamDef	def;
	char	   *name;			/* or NULL */
	Granularity granularity;	/* at which it is read */
	bool		granularity_given;	/* asked for; otherwise the source's highest */
	bool		hidden;			/* by row security, from the caller */
} DeriveSource;

struct DeriveRun;

typedef struct DeriveOperator
{
	const char *name;
	ValueType	value_type;		/* of the streams that it makes */
	bool		joins_sources;	/* makes a datapoint where all sources have one */
	void		(*check_args) (Jsonb *args);	/* NULL: it takes none */
	void		(*check_sources) (const StreamDef *derived,
								  const DeriveSource *sources, int nsources);
	void		(*run) (struct DeriveRun *run); /* derive_run.h */
} DeriveOperator;

extern const DeriveOperator DeriveOperators[];

extern Datum JoiningOperators(void);
extern int	FindDeriveOperator(const char *name, int length);
extern int	ParseDeriveOperator(const char *name, ValueType type);
extern Jsonb *CheckDeriveArgs(int derive_op, Jsonb *args);
extern void ParseDeriveFrom(Jsonb *from, DeriveSource **sources, int *nsources);
extern void CheckDerivation(const StreamDef *derived, const DeriveSource *sources, int nsources);

/* counter_derivative: the argument max_value, or NULL */
extern Numeric CounterMaxValue(Jsonb *args);

#endif							/* DS_OPERATOR_H */
