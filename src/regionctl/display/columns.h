#pragma once

/* The columns of ls -l and top. */

#include "regionctl/facts/region-info.h"
#include "regionctl/words/names.h"
#include "regionctl/words/table.h"

/* The name as it is shown: directories have a slash behind it. To be freed. */
char *columns_name(const RegionInfo *info, bool escape);

/* All about the regions, the name last, in full. */
Table *columns_for_ls(const GPtrArray *regions, Names *names, bool human);

/*
 * For a screen: the name first, at most half the width, and then what regions are ordered by, so that what is cut off
 * on the right matters least. Of count regions from first on.
 */
Table *columns_for_top(const GPtrArray *regions, Names *names, guint first, guint count, int width);
