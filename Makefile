# Where the sources are: here, or where VPATH says if the current directory is
# another one, such as in "make -f ../Makefile VPATH=..".
srcdir := $(or $(firstword $(subst :, ,$(VPATH))),.)
# The files of patterns, relative to the sources
source_files = $(sort $(patsubst $(srcdir)/%,%,$(wildcard $(addprefix $(srcdir)/,$(1)))))

EXTENSION = datastream
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(srcdir)/$(EXTENSION).control)

MODULE_big = datastream
OBJS := $(patsubst %.c,%.o,$(call source_files,src/*.c src/*/*.c))
ifeq ($(OBJS),)
$(error There are no sources in $(srcdir)/src: run make where the Makefile is, or with VPATH=... for another directory)
endif
PG_CPPFLAGS = -I$(srcdir)/src
PGFILEDESC = "datastream - time series at many granularities"

# The library's names are its own, also where the server or another library has
# the same: only what src/exports.list has can be seen from outside.
comma := ,
SHLIB_LINK += $(if $(filter linux freebsd netbsd openbsd,$(PORTNAME)),-Wl$(comma)-Bsymbolic$(comma)--version-script=$(srcdir)/src/exports.list)

# No code for the server's JIT compiler: what it takes over into a query calls
# the rest of the library by name, among the names of all libraries.
override with_llvm := no

# Sums and deviations are made of doubles that are rounded once in each operation
# (src/double_double.h).  Where the processor has a fused multiplication and
# addition, compilers would use it, here and not there, as they optimise.
PG_CFLAGS = -ffp-contract=off

# What CREATE EXTENSION runs is put together from these files, in this order.
SQL = sql/datastream.sql sql/streams.sql sql/workers.sql sql/retention.sql sql/aggregates.sql
DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql
DATA = $(call source_files,sql/$(EXTENSION)--*--*.sql)

# Regression tests run in the order of this list; a test that is not named here
# runs before the last ones.  Each needs the first, which creates the extension,
# and no other, so that "make installcheck REGRESS=append" runs both.  Whatever
# the server's locale, names sort by their bytes.
ENCODING = UTF8
NO_LOCALE = yes
FIRST_TESTS = setup
TESTS = stats block aggregates streams append query query_plans downsample derive retention errors \
	roles hostile_path triggers
LAST_TESTS = teardown
TEST_FILES = $(patsubst test/sql/%.sql,%,$(call source_files,test/sql/*.sql))
SPEC_FILES = $(patsubst test/isolation/specs/%.spec,%,$(call source_files,test/isolation/specs/*.spec))
# Who names tests of one kind wants none of the other.
ifeq ($(strip $(REGRESS)$(ISOLATION)),)
REGRESS = $(filter $(TEST_FILES),$(TESTS)) $(filter-out $(TESTS),$(TEST_FILES))
ISOLATION = $(SPEC_FILES)
endif
# $(1) in its order, but with the first tests in front and the last ones at the end
in_order = $(if $(strip $(1)),$(FIRST_TESTS) $(filter-out $(FIRST_TESTS) $(LAST_TESTS),$(1)) $(filter $(LAST_TESTS),$(1)))
override REGRESS := $(strip $(call in_order,$(REGRESS)))
override ISOLATION := $(strip $(call in_order,$(ISOLATION)))

# Tests are looked for where results go, too, and sql has other files than tests.
# Before version 16 the expected results lie in the input directory; from then
# on their directory has an option of its own.
expecteddir = $(if $(filter 15,$(MAJORVERSION)),,--expecteddir=$(srcdir)$(1))
REGRESS_OPTS = --inputdir=$(srcdir)/test --outputdir=test $(call expecteddir,)
EXTRA_CLEAN = test/results test/regression.diffs test/regression.out

# Likewise for isolation tests.
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation --load-extension=$(EXTENSION) \
	$(call expecteddir,/test/isolation)

PG_CONFIG ?= pg_config

# "demo", "check-all" and "bench" install what is missing, pg_config and the
# server's makefiles among it, and so must not need them.
ifneq ($(filter-out demo check-all bench,$(or $(MAKECMDGOALS),all)),)

PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(PGXS),)
$(error "$(PG_CONFIG) --pgxs" failed: the server's headers and makefiles are needed (in Debian postgresql-server-dev-N), or PG_CONFIG=...)
endif
include $(PGXS)
BITCODE_CFLAGS += $(PG_CFLAGS)

# Any header may matter to any object.
$(OBJS) $(OBJS:.o=.bc): $(call source_files,src/*.h src/*/*.h)

# A directory other than the sources' has no folders yet.  (Their names are
# absolute since relative ones would be found among the sources.)
folders = $(addprefix $(CURDIR)/,$(sort $(dir $(OBJS) $(DATA_built))))
$(OBJS) $(OBJS:.o=.bc) $(DATA_built): | $(folders)
installcheck: | $(CURDIR)/test/
$(folders) $(CURDIR)/test/:
	mkdir -p $@

$(shlib): $(srcdir)/src/exports.list

# The inner loops over a block's values gain from vectorisation.  A user's own
# optimisation level, given in CFLAGS or COPT, stays.
HOT_OBJS = $(foreach object,$(OBJS),$(if $(filter codec_%.o bucket.o value_state.o,$(notdir $(object))),$(object)))
$(HOT_OBJS): override CFLAGS := $(patsubst -O2,-O3,$(CFLAGS))

$(DATA_built): $(SQL) $(EXTENSION).control
	cat $(filter %.sql,$^) > $@

.DELETE_ON_ERROR:

endif

.PHONY: demo check-all bench

# These need nothing but a shell and are described in their first lines.
demo:
	$(srcdir)/test/demo

check-all:
	$(srcdir)/test/check

bench:
	$(srcdir)/test/bench/run
