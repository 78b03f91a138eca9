// Under which name parsed documents are kept on the disk.
import { createHash } from "node:crypto";
import { publishedSchemas } from "../model/schemas.ts";
import { version } from "./version.ts";

/** What was found valid by other schemas is parsed anew. */
export const documentVersion: string = `${version} ${createHash("sha256").update(JSON.stringify(publishedSchemas)).digest("hex").slice(0, 16)}`;
