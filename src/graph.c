/*-------------------------------------------------------------------------
 *
 * graph.c
 *	  Values of graph streams.
 *
 * A graph is {"v": [{"i": id}, ...], "e": [{"f": id, "t": id}, ...]}: vertices
 * with an identifier each, and edges from one of them to another.  Identifiers
 * are strings or numbers.  Vertices and edges may have further keys, such as a
 * label or the quality of a link.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "decimal.h"
#include "graph.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* The identifier of a vertex, and its position among the vertices */
typedef struct Vertex
{
	JsonbValue	id;
	int			position;
} Vertex;

/*
 * Raises the error for a value that is not a graph; "detail" is a sentence
 * that says where.
 */
pg_noreturn static void
GraphError(char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value is not a valid graph"),
			 errdetail_internal("%s", detail),
			 errhint("A graph is an object {\"v\": [{\"i\": id}, ...], \"e\": [{\"f\": id, \"t\": id}, ...]}.")));
	pg_unreachable();
}

/*
 * Returns the list that is the value of a key of the graph.
 */
static JsonbContainer *
GraphList(Jsonb *json, const char *key)
{
	JsonbValue	list;

	if (getKeyJsonValueFromContainer(&json->root, key, strlen(key), &list) == NULL)
		GraphError(psprintf(_("The key \"%s\" is missing."), key));
	if (list.type != jbvBinary || !JsonContainerIsArray(list.val.binary.data))
		GraphError(psprintf(_("The value of \"%s\" is not a list."), key));
	return list.val.binary.data;
}

/*
 * Finds an identifier in an element of a list of the graph.
 */
static void
GraphId(JsonbContainer *list, const char *list_key, int position,
		const char *key, JsonbValue *id)
{
	JsonbValue *element = getIthJsonbValueFromContainer(list, position);

	if (element->type != jbvBinary || !JsonContainerIsObject(element->val.binary.data))
		GraphError(psprintf(_("Element %d of \"%s\" is not an object."), position, list_key));
	if (getKeyJsonValueFromContainer(element->val.binary.data, key, strlen(key), id) == NULL)
		GraphError(psprintf(_("Element %d of \"%s\" has no key \"%s\"."), position, list_key, key));
	if (id->type != jbvString && id->type != jbvNumeric)
		GraphError(psprintf(_("The value of \"%s\" in element %d of \"%s\" is neither a string nor a number."),
							key, position, list_key));
	pfree(element);
}

static int
CompareIds(const JsonbValue *a, const JsonbValue *b)
{
	int			result;

	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->type == jbvNumeric)
		return CompareNumeric(a->val.numeric, b->val.numeric);

	result = memcmp(a->val.string.val, b->val.string.val,
					Min(a->val.string.len, b->val.string.len));
	if (result != 0)
		return result;
	return a->val.string.len - b->val.string.len;
}

/* By identifier; equal ones by position */
static int
CompareVertices(const void *a, const void *b)
{
	const Vertex *va = a;
	const Vertex *vb = b;
	int			result = CompareIds(&va->id, &vb->id);

	return result != 0 ? result : va->position - vb->position;
}

/* An identifier as a message shows it */
static char *
IdForMessage(const JsonbValue *id)
{
	if (id->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(id->val.numeric)));
	return psprintf("\"%s\"", pnstrdup(id->val.string.val,
									   pg_mbcliplen(id->val.string.val, id->val.string.len, 64)));
}

static bool
VertexExists(const Vertex *vertices, int count, const JsonbValue *id)
{
	int			low = 0;
	int			high = count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		int			order = CompareIds(id, &vertices[middle].id);

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

/*
 * Raises an error unless the value is a graph: every vertex has an identifier
 * of its own, and every edge joins vertices of the graph.  The error's detail
 * names the element by its position, counted from 0.
 */
void
CheckGraph(Jsonb *json)
{
	static const char *const ends[] = {"f", "t"};
	JsonbContainer *vertex_list;
	JsonbContainer *edge_list;
	int			vertex_count;
	int			edge_count;
	Vertex	   *vertices;

	if (!JB_ROOT_IS_OBJECT(json))
		GraphError(_("The value is not an object."));

	vertex_list = GraphList(json, "v");
	edge_list = GraphList(json, "e");
	if (JB_ROOT_COUNT(json) != 2)
		GraphError(_("There are keys other than \"v\" and \"e\"."));

	vertex_count = JsonContainerSize(vertex_list);
	edge_count = JsonContainerSize(edge_list);

	vertices = MemoryContextAllocHuge(CurrentMemoryContext,
									  sizeof(Vertex) * ((Size) vertex_count + 1));
	for (int i = 0; i < vertex_count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		GraphId(vertex_list, "v", i, "i", &vertices[i].id);
		vertices[i].position = i;
	}
	qsort(vertices, vertex_count, sizeof(Vertex), CompareVertices);
	for (int i = 1; i < vertex_count; i++)
	{
		if (CompareIds(&vertices[i - 1].id, &vertices[i].id) == 0)
			GraphError(psprintf(_("Elements %d and %d of \"v\" have the same identifier %s."),
								vertices[i - 1].position, vertices[i].position,
								IdForMessage(&vertices[i].id)));
	}

	for (int i = 0; i < edge_count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int end = 0; end < lengthof(ends); end++)
		{
			JsonbValue	id;

			GraphId(edge_list, "e", i, ends[end], &id);
			if (!VertexExists(vertices, vertex_count, &id))
				GraphError(psprintf(_("Element %d of \"e\" has as \"%s\" the identifier %s, which no vertex has."),
									i, ends[end], IdForMessage(&id)));
		}
	}
	pfree(vertices);
}
