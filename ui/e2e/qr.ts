import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { prepareZXingModule, writeBarcode } from 'zxing-wasm/writer';

// QR codes in front of a camera that is not there.

/** A QR code as rows of light (255) and dark (0), without the margin. */
type Code = { rows: number[][] };

const program = createRequire(import.meta.url).resolve('zxing-wasm/writer/zxing_writer.wasm');
prepareZXingModule({ overrides: { wasmBinary: readFileSync(program).buffer as ArrayBuffer } });

export async function qrCode(text: string): Promise<Code> {
  const { symbol, error } = await writeBarcode(text, { format: 'QRCode' });
  if (error) throw new Error(error);
  const { data, width, height } = symbol;
  return { rows: Array.from({ length: height }, (_, y) => Array.from(data.slice(y * width, (y + 1) * width))) };
}

const [width, height] = [640, 480];

/** Writes a film of a code on a table, for Chromium's --use-file-for-fake-video-capture. */
export function film(code: Code, file: string) {
  const size = 8; // pixels a module
  const left = (width - code.rows.length * size) / 2;
  const top = (height - code.rows.length * size) / 2;
  const luma = Buffer.alloc(width * height, 235);
  for (const [y, row] of code.rows.entries())
    for (const [x, value] of row.entries())
      if (value === 0)
        for (let line = 0; line < size; line++) {
          const at = (top + y * size + line) * width + left + x * size;
          luma.fill(16, at, at + size);
        }
  const frame = Buffer.concat([Buffer.from('FRAME\n'), luma, Buffer.alloc((width * height) / 2, 128)]);
  writeFileSync(
    file,
    Buffer.concat([Buffer.from(`YUV4MPEG2 W${width} H${height} F10:1 Ip A1:1 C420jpeg\n`), frame, frame]),
  );
}
