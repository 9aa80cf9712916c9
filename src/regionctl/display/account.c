#include "regionctl/display/account.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool take(Account *account, int fd, dev_t device) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return false;
        if (st.st_dev != device) {
                errno = EXDEV;
                return false;
        }
        account->info = region_info_read_descriptor(fd, REGION_ALL);
        if (!account->info)
                return false;
        if (!S_ISREG(account->info->st.st_mode))
                return true;
        /* In this order: a view that is found is one for whom the region is kept while it is opened for the picture. */
        holders_find(&account->holders, &account->info->st);
        picture_take(&account->picture, fd, account->info, holders_have_view(&account->holders));
        return true;
}

bool account_take(Account *account, const char *path, dev_t device) {
        int fd = open(path, O_PATH | O_CLOEXEC), error;
        bool taken;

        if (fd < 0)
                return false;
        taken = take(account, fd, device);
        error = errno;
        close(fd);
        errno = error;
        return taken;
}

void account_clear(Account *account) {
        g_clear_pointer(&account->info, region_info_free);
        holders_clear(&account->holders);
        picture_clear(&account->picture);
}
