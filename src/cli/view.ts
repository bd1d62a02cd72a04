import { normalizations, type View } from "../node.ts";

/** The view of a series that a config.json holds; null for anything else, so that nothing of it need be trusted. */
export function viewIn(value: unknown): View | null {
  if (typeof value !== "object" || value === null) return null;
  const { targets, inputs, scaling, gaps, context, horizon, normalization } = value as Partial<View>;
  const names = [targets, inputs, gaps];
  if (!names.every((list) => Array.isArray(list) && list.every((name) => typeof name === "string")))
    return null;
  if (!(Number.isSafeInteger(context) && Number.isSafeInteger(horizon))) return null;
  if (!normalizations.some((name) => name === normalization)) return null;
  const columns = [...(targets ?? []), ...(inputs ?? [])];
  const scaled = columns.every((name) => {
    const found =
      typeof scaling === "object" && scaling !== null && Object.hasOwn(scaling, name) && scaling[name];
    return found && Number.isFinite(found.mean) && found.deviation > 0 && Number.isFinite(found.deviation);
  });
  return scaled && columns.length > 0 && Number(context) > 0 && Number(horizon) > 0 ? (value as View) : null;
}
