#pragma once

/* What a region can be told to be: an attribute and its value, checked before anything is changed. */

#include "regionctl/words/complaint.h"

#include <stdint.h>
#include <sys/types.h>

typedef struct SettingKind SettingKind;

typedef struct Setting {
        const SettingKind *kind;
        const char *value; /* borrowed; NULL: back to what it is at first */
        uint64_t number;   /* the value, where it is one */
} Setting;

/*
 * Checks the value of the attribute. given is what the user wrote, for the sentence that says what is allowed instead,
 * where STATUS_USAGE is returned.
 */
Status setting_init(Setting *setting, const char *attribute, const char *value, const char *given);

/* The same for a value of NULL. */
Status setting_init_reset(Setting *setting, const char *attribute);

/* Whether a file of this mode (st_mode) has the attribute. Says that it has not, and returns STATUS_USAGE. */
Status setting_fits(const Setting *setting, mode_t mode, const char *name);

/*
 * Makes it so for what fd is open on, which may be O_PATH. 0 or -errno. A seal waits for the last writer: a tenth of a
 * second at most.
 */
int setting_apply(const Setting *setting, int fd);

/* Says "cannot WHAT NAME: " and why setting_apply() failed with -code. Returns the status. */
Status setting_complain(const Setting *setting, int code, const char *what, const char *name);

/* The attribute's name, as in "lifetime". */
const char *setting_name(const Setting *setting);

/* Names of all attributes, and of those that can be reset: "a, b or c". For sentences. */
char *setting_names(gboolean that_can_be_reset);
