/** A device is not there, cannot do what is asked, or has no memory left. */
export class DeviceError extends Error {
  override name = "DeviceError";
}

/** What was on the device is gone, but it may be opened anew: the GPU was lost, or its memory did not suffice. */
export class DeviceLostError extends DeviceError {
  override name = "DeviceLostError";
  /** Whether it was for want of memory: then the same again would fail again. */
  readonly outOfMemory: boolean;

  constructor(message: string, outOfMemory: boolean) {
    super(message);
    this.outOfMemory = outOfMemory;
  }
}

/** A file is not what it claims to be. */
export class FormatError extends Error {
  override name = "FormatError";
}

/** A flag, option or configuration that makes no sense. */
export class UsageError extends Error {
  override name = "UsageError";
}
