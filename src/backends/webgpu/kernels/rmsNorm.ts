/** See norm.ts. */
import { norm } from "./norm.ts";

export const rmsNorm = norm(false);
