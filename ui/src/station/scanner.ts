// Reads QR codes from the camera: with what the browser has, else with a program that comes with the app and is loaded
// when it is first needed.

type Detector = { detect(source: HTMLVideoElement): Promise<{ rawValue: string }[]> };
type Native = { new (options: { formats: string[] }): Detector; getSupportedFormats(): Promise<string[]> };

async function detector(): Promise<Detector> {
  const native = (globalThis as { BarcodeDetector?: Native }).BarcodeDetector;
  const formats = (await native?.getSupportedFormats().catch(() => [])) ?? [];
  if (native && formats.includes('qr_code')) return new native({ formats: ['qr_code'] });
  const { detector: own } = await import('./scanner-own');
  return own();
}

/** Why the camera shows nothing. */
export type CameraTrouble = 'refused' | 'none';

/**
 * Shows the camera in a video and calls found with what a QR code says, once. Calling what comes back ends it. Fails
 * with a CameraTrouble.
 */
export async function scan(video: HTMLVideoElement, found: (text: string) => void, ended: AbortSignal) {
  if (!navigator.mediaDevices) throw 'none' satisfies CameraTrouble; // plain http
  const opening = navigator.mediaDevices.getUserMedia({
    video: { facingMode: { ideal: 'environment' }, width: { ideal: 1280 } },
  });
  const [camera, reads] = await Promise.all([opening.catch(refusal), detector()]);
  const stop = () => {
    for (const track of camera.getTracks()) track.stop();
    video.srcObject = null;
  };
  if (ended.aborted) return stop();
  ended.addEventListener('abort', stop);
  video.srcObject = camera;
  await video.play().catch(() => undefined);
  while (!ended.aborted) {
    const codes = video.readyState >= 2 ? await reads.detect(video).catch(() => []) : [];
    const text = codes[0]?.rawValue;
    if (text && !ended.aborted) return found(text);
    await new Promise((resolve) => setTimeout(resolve, 120));
  }
}

function refusal(error: unknown): never {
  throw (
    error instanceof DOMException && error.name === 'NotAllowedError' ? 'refused' : 'none'
  ) satisfies CameraTrouble;
}
