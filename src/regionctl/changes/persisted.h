#pragma once

/* Regions whose memory is a file's. */

#include "regionctl/changes/draft.h"

/* Makes one but for its name, from the plan's file. Says what is wrong otherwise. */
Status persisted_make(Draft *draft, const Plan *plan);
