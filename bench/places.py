"""Where the programs beside this one measure: /dev/shm, regionfs, and libfuse's examples, mounted for that long.

All is taken away when the ExitStack that the places were made with is closed. Root's alone.
"""
import os, shutil, signal, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.join(ROOT, "build", "regionfs")
RINGS_SWITCH = "/sys/module/fuse/parameters/enable_uring"
MOUNT_SECONDS = 20

SHM, REGIONFS, RINGS, BEFORE, MEMFS, PASSTHROUGH = (
    "/dev/shm", "regionfs", "regionfs, io_uring", "regionfs, before", "memfs_ll", "passthrough_hp")


class Unavailable(Exception):
    """One sentence on why a place is left out."""


class Place:
    """name: one of those above; what: one line on version and options; process: who serves it, or None."""

    def __init__(self, name, directory, what, process=None):
        self.name, self.directory, self.what, self.process = name, directory, what, process


def say(sentence):
    print(f"{os.path.basename(sys.argv[0])}: {sentence}", file=sys.stderr)


def leave(number, frame):
    sys.exit(128 + number)


def begin():
    """For root alone; a signal that ends the program has it clear away first."""
    if os.geteuid() != 0:
        sys.exit(f"{os.path.basename(sys.argv[0])}: takes root, who has passthrough")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def output(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return result.stdout.strip() if result.returncode == 0 else ""


def machine():
    return f"{os.cpu_count()} processors, Linux {os.uname().release}"


def unmount(directory):
    while os.path.ismount(directory):
        subprocess.run(["umount", "-l", directory], check=True)


def temporary(stack, where=None):
    directory = tempfile.mkdtemp(prefix="regionfs-bench-", dir=where)
    stack.callback(shutil.rmtree, directory)
    return directory


def end(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def serve(stack, name, arguments, what, mountpoint):
    """A program in the foreground, with a file system on the mountpoint, and what it has said till then."""
    log = stack.enter_context(tempfile.TemporaryFile("w+"))
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    stack.callback(unmount, mountpoint)
    stack.callback(end, process)
    deadline = time.monotonic() + MOUNT_SECONDS
    while not os.path.ismount(mountpoint):
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            raise Unavailable(f"{name} does not mount: {' '.join(log.read().split()) or 'it says nothing'}")
        time.sleep(0.01)
    return Place(name, mountpoint, what, process)


def shm(stack):
    kinds = output("findmnt", "-no", "FSTYPE,OPTIONS", "/dev/shm").splitlines() or ["no mount of its own"]
    return Place(SHM, temporary(stack, "/dev/shm"), " ".join(kinds[-1].split()))


def has(mountpoint, what):
    try:
        return os.getxattr(mountpoint, "user.regionfs." + what) == b"1"
    except OSError:  # of an older one, that does not have the attribute either
        return False


def regionfs(stack, name=REGIONFS, program=PROGRAM, options=None):
    if not os.access(program, os.X_OK):
        raise Unavailable(f"{name}: {program} is no program: contrib/build makes it")
    version = output(program, "--version").replace("regionfs ", "")
    extra = ["-o", options] if options else []
    mountpoint = temporary(stack)
    place = serve(stack, name, [program, "-f", *extra, mountpoint], "", mountpoint)
    channel = "io_uring" if has(mountpoint, "io_uring") else "/dev/fuse"
    data = "passthrough" if has(mountpoint, "passthrough") else "no passthrough"
    place.what = f"version {version}, {'-o ' + options if options else 'default options'}: {channel}, {data}"
    if options == "io_uring" and channel != "io_uring":
        raise Unavailable(f"{name}: the kernel does not have it, or libfuse was built without it")
    return place


def regionfs_rings(stack, program=PROGRAM):
    """The switch is put back when the stack is closed."""
    try:
        with open(RINGS_SWITCH, "r+") as switch:
            before = switch.read().strip()
    except OSError as error:
        raise Unavailable(f"{RINGS}: {RINGS_SWITCH}: {error.strerror}")

    def turn(value):
        with open(RINGS_SWITCH, "w") as switch:
            switch.write(value)

    if before != "Y":
        stack.callback(turn, before)
        turn("Y")
    return regionfs(stack, RINGS, program, "io_uring")


def peers():
    """The directory that libfuse's examples are in."""
    result = subprocess.run([os.path.join(ROOT, "bench", "build-peers")], capture_output=True, text=True)
    if result.returncode != 0:
        raise Unavailable(f"{MEMFS} and {PASSTHROUGH}: {result.stderr.strip().splitlines()[-1]}")
    return result.stdout.strip()


def libfuse(directory):
    lines = output(os.path.join(directory, MEMFS), "--version").splitlines()
    return next((line.replace("FUSE library version", "libfuse") for line in lines if "library" in line), "libfuse")


def memfs(stack, directory):
    mountpoint = temporary(stack)
    return serve(stack, MEMFS, [os.path.join(directory, MEMFS), "-f", mountpoint],
                 f"{libfuse(directory)}, default options", mountpoint)


def passthrough(stack, directory):
    """Over tmpfs, which suits it best."""
    mountpoint, source = temporary(stack), temporary(stack, "/dev/shm")
    return serve(stack, PASSTHROUGH, [os.path.join(directory, PASSTHROUGH), "--foreground", source, mountpoint],
                 f"{libfuse(directory)}, default options (kernel passthrough), over a directory of /dev/shm",
                 mountpoint)


def available(made):
    """The places of the functions that can make theirs; of the others one line is said."""
    places = []
    for make in made:
        try:
            places.append(make())
        except Unavailable as why:
            say(f"left out: {why}")
    return places
