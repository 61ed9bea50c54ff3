/*-------------------------------------------------------------------------
 *
 * query_node.h
 *	  ds_get_data and ds_get_series as nodes of a plan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_QUERY_NODE_H
#define DS_QUERY_NODE_H

/* The function ds_rows_support() of this database, once it has been called */
extern Oid	rows_support_function;

extern void InitQueryNodes(void);

#endif							/* DS_QUERY_NODE_H */
