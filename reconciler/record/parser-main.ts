// A parser process: names of blobs and paths on standard input, one line of JSON for each on standard output, in that order.
import { text } from "node:stream/consumers";
import { parseDocument } from "../model/repository.ts";
import { blobBytesMax, tooLarge } from "./documents.ts";
import { ObjectReader } from "./objects.ts";

const [, , dir = "", careful] = process.argv;
const refs = (await text(process.stdin))
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => ({ id: line.slice(0, 40), path: line.slice(41) }));

/** Characters written at once; with `--careful`, each answer by itself. */
const bufferMax = careful === "--careful" ? 0 : 65_536;
let buffer = "";

function write(answer: unknown): void {
  buffer += `${JSON.stringify(answer)}\n`;
  if (buffer.length <= bufferMax) return;
  process.stdout.write(buffer);
  buffer = "";
}

const objects = new ObjectReader(dir);
await objects.each(
  refs.map(({ id }) => id),
  (object, index) => {
    const path = refs[index]?.path ?? "";
    const { data, size } = object ?? { data: Buffer.alloc(0), size: 0 };
    write(size > blobBytesMax ? { problems: [tooLarge(path, size)] } : parseDocument(path, data.toString()));
  },
);
process.stdout.write(buffer);
objects.close();
