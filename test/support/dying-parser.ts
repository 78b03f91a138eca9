// Stands for a parser process: answers each document with its path, and does not survive those that the folder's name lists.
import { text } from "node:stream/consumers";

const [, , dir = "", careful] = process.argv;
const dying = new Set(dir.split(","));
let buffer = "";
for (const line of (await text(process.stdin)).split("\n").filter((ref) => ref !== "")) {
  const path = line.slice(41);
  if (dying.has(path)) process.abort();
  buffer += `${JSON.stringify({ value: path })}\n`;
  // Like the real one, it loses what it has gathered unless it was told to be careful.
  if (careful !== "--careful" && buffer.length < 4096) continue;
  process.stdout.write(buffer);
  buffer = "";
}
process.stdout.write(buffer);
