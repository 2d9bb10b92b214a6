import { useEffect, useRef, useState } from 'react';
import { Title } from './parts';
import { Redeem } from './redeem';
import { go } from './route';
import { type CameraTrouble, scan } from './scanner';

/** Looks for a voucher's QR code. Without a camera, codes are typed. */
export function Scan() {
  const [qr, setQR] = useState<string>();
  const [trouble, setTrouble] = useState<CameraTrouble>();
  const video = useRef<HTMLVideoElement>(null);

  useEffect(() => {
    if (qr !== undefined || !video.current) return;
    const end = new AbortController();
    setTrouble(undefined);
    scan(video.current, setQR, end.signal).catch((why) => setTrouble(why === 'refused' ? 'refused' : 'none'));
    return () => end.abort();
  }, [qr]);

  if (qr !== undefined) return <Redeem presented={{ qr }} again={() => setQR(undefined)} />;
  return (
    <>
      <Title>Scan</Title>
      {trouble ? (
        <div className="failed" role="alert">
          <p>
            {trouble === 'refused'
              ? 'The camera is not allowed here. Allow it in the browser’s settings, or type the code below the QR code.'
              : 'There is no camera here that can be used. Type the code below the QR code.'}
          </p>
        </div>
      ) : (
        <p>Hold the voucher’s QR code in front of the camera.</p>
      )}
      <video
        ref={video}
        className="camera"
        muted
        playsInline
        hidden={trouble !== undefined}
        aria-label="What the camera sees"
      />
      <button type="button" className={trouble ? 'primary' : ''} onClick={() => go('/code', true)}>
        Enter the code instead
      </button>
    </>
  );
}
