#include "regionctl/changes/target.h"

#include "regionctl/facts/mount.h"

#include <fcntl.h>

Status target_find(Target *target, const char *name) {
        g_auto(Mount) mount = MOUNT_INIT;
        Status status = mount_find(&mount, name);

        if (status != STATUS_DONE)
                return status;
        target->name = name;
        target->fd = open(name, O_PATH | O_CLOEXEC);
        if (target->fd < 0 || fstat(target->fd, &target->st) < 0)
                return complain_errno(errno, "find", name);
        if (target->st.st_dev != mount.device)
                return complain(STATUS_USAGE, "%s leads out of the regionfs mount on %s", name, mount.root);
        return STATUS_DONE;
}

void target_clear(Target *target) {
        descriptor_clear(&target->fd);
}
