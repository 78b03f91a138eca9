// Every checker that judges a history.
import type { Checker } from "../history.ts";
import { b1 } from "./b1.ts";
import { b2 } from "./b2.ts";
import { b3 } from "./b3.ts";
import { b4 } from "./b4.ts";
import { b5 } from "./b5.ts";
import { d1 } from "./d1.ts";
import { d2 } from "./d2.ts";
import { d3 } from "./d3.ts";
import { d4 } from "./d4.ts";
import { d5 } from "./d5.ts";
import { d6 } from "./d6.ts";
import { l1 } from "./l1.ts";
import { r2 } from "./r2.ts";
import { r3 } from "./r3.ts";
import { r4 } from "./r4.ts";
import { s1 } from "./s1.ts";
import { s2 } from "./s2.ts";
import { s4 } from "./s4.ts";

export const checkers: readonly Checker[] = [r2, r3, r4, s1, s2, s4, d1, d2, d3, d4, d5, d6, b1, b2, b3, b4, b5, l1];
