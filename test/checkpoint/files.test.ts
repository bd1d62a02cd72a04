import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { test, type TestContext } from "node:test";

import { diskFiles } from "../../src/checkpoint/diskFiles.ts";
import { isTemporary, type Files } from "../../src/checkpoint/files.ts";
import { memoryFiles } from "../../src/checkpoint/memoryFiles.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

async function emptyDisk(t: TestContext): Promise<Files> {
  const root = await mkdtemp(resolve(tmpdir(), "statewise-files-"));
  t.after(() => rm(root, { recursive: true }));
  return diskFiles(root);
}

const implementations: Record<string, (t: TestContext) => Promise<Files>> = {
  memory: async () => memoryFiles(),
  disk: emptyDisk,
};

for (const [name, create] of Object.entries(implementations)) {
  const check = (sentence: string, body: (files: Files) => Promise<void>) =>
    test(`${name}: ${sentence}`, async (t) => body(await create(t)));

  check("what is written is read back, whole or in part", async (files) => {
    await files.write("a/b.bin", bytes(1, 2, 3, 4));
    assert.equal(await files.size("a/b.bin"), 4);
    assert.deepEqual(await files.read("a/b.bin"), bytes(1, 2, 3, 4));
    assert.deepEqual(await files.read("a/b.bin", 1, 3), bytes(2, 3));
    assert.deepEqual(await files.read("a/b.bin", 2), bytes(3, 4));
    assert.deepEqual(await files.read("a/b.bin", 4, 4), bytes());
  });

  check("a second write replaces the first, and nothing else is left in the directory", async (files) => {
    await files.write("a.bin", bytes(1, 2, 3));
    await files.write("a.bin", bytes(4));
    assert.deepEqual(await files.read("a.bin"), bytes(4));
    assert.deepEqual(await files.list(""), ["a.bin"]);
  });

  check("bytes that were read or written belong to the caller", async (files) => {
    const written = bytes(1, 2);
    await files.write("a.bin", written);
    written[0] = 9;
    (await files.read("a.bin"))[1] = 9;
    assert.deepEqual(await files.read("a.bin"), bytes(1, 2));
  });

  check("an absent file and a directory have no size, and reading them is a FormatError", async (files) => {
    await files.write("a/b.bin", bytes(1));
    for (const path of ["c", "a", "a/b.bin/c"]) {
      assert.equal(await files.size(path), null);
      const message = `${path}: there is no such file. Check the path.`;
      await assert.rejects(files.read(path), { name: "FormatError", message });
      await assert.rejects(files.read(path, 0, 2 ** 52), { name: "FormatError", message });
    }
  });

  check("bytes beyond the file are refused before memory is asked for", async (files) => {
    await files.write("a.bin", bytes(1, 2, 3));
    await assert.rejects(files.read("a.bin", 1, 2 ** 52), {
      name: "FormatError",
      message:
        "a.bin: bytes 1 to 4503599627370496 must lie in the file, got a file of 3 bytes. Was it cut short?",
    });
    await assert.rejects(files.read("a.bin", 2, 1), { name: "FormatError" });
    await assert.rejects(files.read("a.bin", -1, 1), { name: "FormatError" });
    await assert.rejects(files.read("a.bin", 4), { name: "FormatError" });
  });

  check("a listing has the names directly inside, sorted", async (files) => {
    for (const path of ["d/z", "d/a/1", "d/a/2", "e"]) await files.write(path, bytes());
    assert.deepEqual(await files.list("d"), ["a", "z"]);
    assert.deepEqual(await files.list(""), ["d", "e"]);
    assert.deepEqual(await files.list("absent"), []);
  });

  check("removing takes a file, or a directory with all that is in it", async (files) => {
    for (const path of ["d/a/1", "d/b", "dd", "e"]) await files.write(path, bytes());
    await files.remove("d");
    await files.remove("e");
    await files.remove("absent");
    assert.deepEqual(await files.list(""), ["dd"]);
    assert.equal(await files.size("d/a/1"), null);
  });

  check("a renamed directory takes its files along, a renamed file replaces", async (files) => {
    for (const path of ["d/a/1", "d/b"]) await files.write(path, bytes(7));
    await files.rename("d", "e/f");
    assert.deepEqual(await files.list("e/f"), ["a", "b"]);
    assert.equal(await files.size("d/b"), null);
    await files.write("c", bytes(8));
    await files.rename("e/f/a/1", "c");
    assert.deepEqual(await files.read("c"), bytes(7));
  });

  check("nothing is lost to a rename that cannot be", async (files) => {
    for (const path of ["d/a", "e/b", "f"]) await files.write(path, bytes(7));
    await assert.rejects(files.rename("absent", "g"));
    await assert.rejects(files.rename("d", "e"));
    await assert.rejects(files.rename("d", "f"));
    await assert.rejects(files.rename("f", "d"));
    for (const path of ["d/a", "e/b", "f"]) assert.deepEqual(await files.read(path), bytes(7));
  });

  check("a file and a directory cannot share a name, and the failed write leaves nothing", async (files) => {
    await files.write("a/b", bytes(1));
    await assert.rejects(files.write("a", bytes(2)));
    await assert.rejects(files.write("a/b/c", bytes(2)));
    assert.deepEqual(await files.list(""), ["a"]);
    assert.deepEqual(await files.read("a/b"), bytes(1));
  });

  check("a path that could leave the root is refused by every operation", async (files) => {
    const paths = ["..", "a/../../b", "/etc/passwd", "a//b", "./a", "a/", "a\\..\\b", "C:a", "a\0b"];
    for (const path of paths) {
      const refused = {
        name: "UsageError",
        message:
          `files: a path must be relative, of names joined by "/", without "." and "..", got ${JSON.stringify(path)}. ` +
          `Choose the root so that the file lies below it.`,
      };
      await assert.rejects(files.size(path), refused);
      await assert.rejects(files.read(path), refused);
      await assert.rejects(files.write(path, bytes()), refused);
      await assert.rejects(files.list(path), refused);
      await assert.rejects(files.remove(path), refused);
      await assert.rejects(files.rename(path, "a"), refused);
      await assert.rejects(files.rename("a", path), refused);
    }
    await assert.rejects(files.remove(""), { name: "UsageError" });
  });
}

test("disk: many writers of one file leave one of their contents whole", async (t) => {
  const files = await emptyDisk(t);
  const writes = Array.from({ length: 8 }, (_, i) => files.write("a.bin", new Uint8Array(200_000).fill(i)));
  await Promise.all(writes);
  const found = await files.read("a.bin");
  assert.equal(found.length, 200_000);
  assert.ok(found.every((value) => value === found[0]));
  assert.deepEqual((await files.list("")).filter(isTemporary), []);
});

test("disk: a root that is not there yet is empty until the first write", async (t) => {
  const parent = await mkdtemp(resolve(tmpdir(), "statewise-files-"));
  t.after(() => rm(parent, { recursive: true }));
  const files = diskFiles(resolve(parent, "x/y"));
  assert.deepEqual(await files.list(""), []);
  await files.write("a/b", bytes(1));
  assert.ok((await stat(resolve(parent, "x/y/a/b"))).isFile());
});
