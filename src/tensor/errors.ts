/** A device is not there, cannot do what is asked, or has no memory left. */
export class DeviceError extends Error {
  override name = "DeviceError";
}

/** A file is not what it claims to be. */
export class FormatError extends Error {
  override name = "FormatError";
}

/** A flag, option or configuration that makes no sense. */
export class UsageError extends Error {
  override name = "UsageError";
}
