"""What requests cost, out of the events of tracing.py."""
import collections

FUTEX_OPERATION, FUTEX_WAITS, FUTEX_WAKES = 0x7F, (0, 9), (1, 10)
TAKING = ("sys_read ends", "sys_io_uring_enter ends")


class Kind:
    """Of one kind of request. Times in seconds.

    calls: by name, the time of each, in "alone" requests: those that a thread did not have together with others.
    """

    def __init__(self):
        self.reaching, self.serving, self.returning = [], [], []
        self.calls, self.alone = collections.defaultdict(list), 0

    def add(self, other):
        self.reaching += other.reaching
        self.serving += other.serving
        self.returning += other.returning
        self.alone += other.alone
        for name, times in other.calls.items():
            self.calls[name] += times


class Cost:
    """Sums over all events: what the threads of the server do, and what clients wait for.

    wakeups: of either by the other; across: to another processor than that of who wakes; in_vain: of a thread of the
    server that had nothing to do; switches: away from threads of the server.
    """

    def __init__(self, events, of_server):
        self.requests, self.calls = collections.Counter(), collections.Counter()
        self.wakeups = self.across = self.in_vain = self.switches = self.futex_waits = self.futex_wakes = 0
        self.kinds = collections.defaultdict(Kind)
        self.of_server = of_server
        self.waker, self.last = {}, {}  # by thread: processor of its waker; what came last
        self.sent, self.ended = {}, {}  # by request: time, kind and client; by client: time and kind
        # By thread: when it took requests; the calls since, and the kinds of requests; the call it is in, since when.
        self.taken, self.in_hand, self.within = {}, {}, {}
        for event in events:
            handle = getattr(self, event.name, None)
            if handle:
                handle(event)
            elif event.name.startswith("sys_") and event.process in of_server:
                self.system_call(event)
            if not event.name.startswith("sched_"):
                self.last[event.process] = event.name

    def system_call(self, event):
        if event.name.endswith(" ends"):
            name, begun = self.within.pop(event.process, (None, None))
            if name and event.process in self.in_hand:
                self.in_hand[event.process][0].append((name, event.time - begun))
            if event.name in TAKING:
                self.take(event)
            return
        name = event.name[len("sys_"):]
        self.calls[name] += 1
        self.within[event.process] = (name, event.time)
        if name == "futex":
            operation = event.number("op") & FUTEX_OPERATION
            self.futex_waits += operation in FUTEX_WAITS
            self.futex_wakes += operation in FUTEX_WAKES

    def take(self, event):
        calls, kinds = self.in_hand.get(event.process, ([], []))
        if len(kinds) == 1:
            kind = self.kinds[kinds[0]]
            kind.alone += 1
            for name, time in calls:
                kind.calls[name].append(time)
        self.in_hand[event.process] = ([], [])
        self.taken[event.process] = event.time

    def fuse_request_send(self, event):
        kind = event.text[event.text.index("(FUSE_") + len("(FUSE_"):event.text.index(")")]
        self.requests[kind] += 1
        self.sent[event.number("req")] = (event.time, kind, event.process)

    def fuse_request_end(self, event):
        sent, kind, client = self.sent.pop(event.number("req"), (None, None, None))
        if event.process in self.in_hand and kind:
            self.in_hand[event.process][1].append(kind)
        taken = self.taken.get(event.process)
        if sent is None or taken is None or taken < sent:
            return
        self.kinds[kind].reaching.append(taken - sent)
        self.kinds[kind].serving.append(event.time - taken)
        self.ended[client] = (event.time, kind)

    def sched_waking(self, event):
        self.waker[event.number("pid")] = event.processor

    def sched_wakeup(self, event):
        woken = event.number("pid")
        waker = self.waker.pop(woken, None)
        if waker is None or (woken not in self.of_server and event.process not in self.of_server):
            return
        self.wakeups += 1
        self.across += event.number("target_cpu") != waker

    def sched_switch(self, event):
        left, entered = event.number("prev_pid"), event.number("next_pid")
        self.switches += left in self.of_server
        # In and to sleep again, with nothing done.
        if left in self.of_server and self.last.get(left) == "entered" and " prev_state=S " in event.text:
            self.in_vain += 1
        self.last[left], self.last[entered] = "left", "entered"
        if entered in self.ended:
            time, kind = self.ended.pop(entered)
            self.kinds[kind].returning.append(event.time - time)


def sum_kinds(costs):
    """{name: Kind}, over all of these."""
    kinds = collections.defaultdict(Kind)
    for cost in costs:
        for name, kind in cost.kinds.items():
            kinds[name].add(kind)
    return kinds
