EXTENSION = datastream
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(EXTENSION).control)

MODULE_big = datastream
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
PGFILEDESC = "datastream - time series at many granularities"

# The library's own functions are its own, also where the server has one of the
# same name.
SHLIB_LINK += $(if $(filter linux,$(PORTNAME)),-Wl$(comma)-Bsymbolic)
comma := ,

# What CREATE EXTENSION runs is put together from these files, in this order.
SQL = sql/datastream.sql sql/streams.sql sql/workers.sql sql/retention.sql sql/aggregates.sql
DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql
DATA = $(wildcard sql/$(EXTENSION)--*--*.sql)

# Regression tests run in the order of this list: the first one creates the
# extension, the last one drops it.  A test that is not named here runs before
# the last one.
TESTS = setup stats block aggregates streams append query query_plans downsample derive retention errors \
	roles hostile_path triggers
LAST_TESTS = teardown
TEST_FILES = $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS = $(foreach test,$(TESTS),$(filter $(test),$(TEST_FILES))) \
	$(filter-out $(TESTS) $(LAST_TESTS),$(TEST_FILES)) \
	$(foreach test,$(LAST_TESTS),$(filter $(test),$(TEST_FILES)))
REGRESS := $(strip $(REGRESS))
# Tests are looked for where results go, too, and sql has other files than tests.
REGRESS_OPTS = --inputdir=test --outputdir=test
EXTRA_CLEAN = test/results test/regression.diffs test/regression.out

# Before version 16 the expected results lie in the input directory; from then
# on their directory has an option of its own.
ISOLATION = $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --load-extension=$(EXTENSION) \
	$(if $(filter 14 15,$(MAJORVERSION)),,--expecteddir=test/isolation)

PG_CONFIG ?= pg_config

# "demo", "check-all" and "bench" install what is missing, pg_config and the
# server's makefiles among it, and so must not need them.
ifneq ($(filter-out demo check-all bench,$(or $(MAKECMDGOALS),all)),)

PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(PGXS),)
$(error "$(PG_CONFIG) --pgxs" failed: the server's headers and makefiles are needed (in Debian postgresql-server-dev-N), or PG_CONFIG=...)
endif
include $(PGXS)

# Any header may matter to any object.
$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h)

# The inner loops over a block's values gain from vectorisation.  A user's own
# optimisation level, given in CFLAGS or COPT, stays.
HOT_OBJS = $(filter src/codec_%.o src/bucket.o src/value_state.o,$(OBJS))
$(HOT_OBJS): override CFLAGS := $(patsubst -O2,-O3,$(CFLAGS))

$(DATA_built): $(SQL) $(EXTENSION).control
	cat $(SQL) > $@

.DELETE_ON_ERROR:

endif

.PHONY: demo check-all bench

# These need nothing but a shell and are described in their first lines.
demo:
	test/demo

check-all:
	test/check

bench:
	test/bench/run
