// Two processes with a view of the same region. Usage: java Pair.java write|read. Each says "good" at the end.
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

class Pair {
    static final Path PATH = Path.of("/dev/shm/pair");
    static final int LENGTH = 1 << 20, ROUNDS = 200, ASKED = 0, ANSWERED = 4, COUNTED = 8, DATA = 4096;

    static void check(boolean good, String what) {
        if (!good)
            throw new AssertionError(what);
    }

    static byte byteAt(int round, int position) {
        return (byte) (round * 31 + position * 7 + (position >> 8));
    }

    // A sum that differs wherever one byte does.
    static int sum(MappedByteBuffer view) {
        int sum = 0;
        for (int i = DATA; i < LENGTH; i++)
            sum = sum * 31 + view.get(i);
        return sum;
    }

    static int expectedSum(int round) {
        int sum = 0;
        for (int i = DATA; i < LENGTH; i++)
            sum = sum * 31 + byteAt(round, i);
        return sum;
    }

    static void await(MappedByteBuffer view, int position, int value) throws InterruptedException {
        long end = System.nanoTime() + 60_000_000_000L;
        while (view.getInt(position) != value) {
            check(System.nanoTime() < end, "the other one does not answer");
            Thread.onSpinWait();
            Thread.sleep(0, 1000);
        }
    }

    static MappedByteBuffer map(FileChannel channel) throws Exception {
        MappedByteBuffer view = channel.map(FileChannel.MapMode.READ_WRITE, 0, LENGTH);
        view.order(ByteOrder.nativeOrder());
        return view;
    }

    // Both add to one number, by the lock of the file.
    static void count(FileChannel channel, MappedByteBuffer view) throws Exception {
        for (int i = 0; i < 500; i++) {
            FileLock lock = channel.lock(COUNTED, 4, false);
            view.putInt(COUNTED, view.getInt(COUNTED) + 1);
            lock.release();
        }
    }

    static void write(FileChannel channel) throws Exception {
        MappedByteBuffer view = map(channel);
        byte[] bytes = new byte[LENGTH - DATA];
        for (int round = 1; round <= ROUNDS; round++) {
            for (int i = DATA; i < LENGTH; i++)
                bytes[i - DATA] = byteAt(round, i);
            // Through the view, and by a call, in turn: the other one sees both in its view.
            if (round % 2 == 0)
                view.put(DATA, bytes);
            else
                check(channel.write(ByteBuffer.wrap(bytes), DATA) == bytes.length, "a short write");
            view.putInt(ASKED, round);
            await(view, ANSWERED, round);
        }
        count(channel, view);
        await(view, ANSWERED, ROUNDS + 1);
        check(view.getInt(COUNTED) == 1000, "counted " + view.getInt(COUNTED));
    }

    static void read(FileChannel channel) throws Exception {
        MappedByteBuffer view = map(channel);
        for (int round = 1; round <= ROUNDS; round++) {
            await(view, ASKED, round);
            check(sum(view) == expectedSum(round), "round " + round + " differs");
            view.putInt(ANSWERED, round);
        }
        count(channel, view);
        view.putInt(ANSWERED, ROUNDS + 1);
    }

    public static void main(String[] arguments) throws Exception {
        boolean writes = arguments[0].equals("write");
        try (FileChannel channel = FileChannel.open(PATH, StandardOpenOption.READ, StandardOpenOption.WRITE,
                                                    StandardOpenOption.CREATE)) {
            if (writes)
                write(channel);
            else
                read(channel);
        }
        System.out.println("good");
    }
}
