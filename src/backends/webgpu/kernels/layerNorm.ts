/** See norm.ts. */
import { norm } from "./norm.ts";

export const layerNorm = norm(true);
