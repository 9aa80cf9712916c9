"""What the kernel tells of some processes while something runs: an instance of its tracing, that nobody else sees."""
import contextlib, glob, os, re, subprocess, tempfile

EVENTS = ["fuse:*", "sched:sched_waking", "sched:sched_wakeup", "sched:sched_switch", "sched:sched_migrate_task",
          "syscalls:*"]
BUFFER_KB = 65536  # for each processor
LINE = re.compile(r"^\s*.+-(\d+)\s+\[(\d+)\]\s+\S+\s+([\d.]+): (\w+)(?:: |\(| -> )(.*)$")


class Event:
    """process: the thread's id; processor; time: seconds; name: "sys_read" is one that begins; text: the rest."""

    __slots__ = ("process", "processor", "time", "name", "text")

    def __init__(self, process, processor, time, name, text):
        self.process, self.processor, self.time, self.name, self.text = process, processor, time, name, text

    def number(self, key):
        found = re.search(rf"\b{key}[=: ]+(\w+)", self.text)
        return int(found.group(1), 0 if found.group(1).startswith("0x") else 10) if found else None


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def tracefs(stack):
    if os.path.isdir("/sys/kernel/tracing/instances"):
        return "/sys/kernel/tracing"
    mountpoint = tempfile.mkdtemp(prefix="regionfs-bench-")
    stack.callback(os.rmdir, mountpoint)
    subprocess.run(["mount", "-t", "tracefs", "none", mountpoint], check=True)
    stack.callback(subprocess.run, ["umount", mountpoint], check=True)
    return mountpoint


class Trace:
    """The instance goes when the stack is closed."""

    def __init__(self, stack):
        self.directory = os.path.join(tracefs(stack), "instances", f"regionfs-bench-{os.getpid()}")
        os.mkdir(self.directory)
        stack.callback(os.rmdir, self.directory)
        self.set("tracing_on", "0")
        self.set("buffer_size_kb", str(BUFFER_KB))
        self.set("options/event-fork", "1")

    def set(self, name, value):
        write(os.path.join(self.directory, name), value)

    @contextlib.contextmanager
    def of(self, processes):
        """While the block runs, of these threads and of what they start. Its value is a list, filled when it ends."""
        events = []
        self.set("set_event_pid", " ".join(map(str, processes)))
        self.set("trace", "")
        self.set("set_event", "\n".join(EVENTS) + "\n")
        self.set("tracing_on", "1")
        try:
            yield events
        finally:
            self.set("tracing_on", "0")
            self.set("set_event", "")
            self.set("set_event_pid", "")
        for stats in glob.glob(os.path.join(self.directory, "per_cpu/cpu*/stats")):
            with open(stats) as file:
                if re.search(r"overrun: [1-9]", file.read()):
                    raise SystemExit("tracing: more events than there is room for: take fewer rounds")
        with open(os.path.join(self.directory, "trace")) as file:
            for line in file:
                found = LINE.match(line)
                if found:
                    process, processor, time, name, text = found.groups()
                    # The end of a call has the name of its beginning in the text, and an arrow.
                    name = name if " -> " not in line[:found.start(5)] else name + " ends"
                    events.append(Event(int(process), int(processor), float(time), name, text))
