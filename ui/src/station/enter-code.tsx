import { type FormEvent, useState } from 'react';
import { checks, codeLength, plain, shown } from './code';
import { Failed, Title } from './parts';
import { Redeem } from './redeem';
import { useStation } from './state';

/** Types a voucher's short code. A slip of the finger is found here, and costs no try. */
export function EnterCode() {
  const { online } = useStation();
  const [typed, setTyped] = useState('');
  const [wrong, setWrong] = useState(false);
  const [code, setCode] = useState<string>();
  if (code) {
    const again = () => {
      setCode(undefined);
      setTyped('');
    };
    return <Redeem presented={{ code }} again={again} />;
  }
  const enter = (event: FormEvent) => {
    event.preventDefault();
    const meant = plain(typed);
    setWrong(!checks(meant));
    if (checks(meant)) setCode(shown(meant));
  };
  return (
    <form onSubmit={enter} noValidate>
      <Title>Enter code</Title>
      {!online && <p className="note">Codes take a connection. Without one, scan the QR code.</p>}
      <label htmlFor="code">The eight characters below the QR code</label>
      <input
        id="code"
        className="code"
        value={typed}
        onChange={(e) => {
          const meant = plain(e.target.value).slice(0, codeLength);
          setTyped(shown(meant));
          setWrong(false);
        }}
        autoComplete="off"
        autoCapitalize="characters"
        autoCorrect="off"
        spellCheck={false}
        enterKeyHint="go"
        aria-invalid={wrong}
        aria-describedby={wrong ? 'wrong' : undefined}
        placeholder="K7QM-42XD"
      />
      {wrong && (
        <div id="wrong">
          <Failed>
            {plain(typed).length < codeLength
              ? 'A code has eight characters.'
              : 'No voucher has this code: look at it again.'}
          </Failed>
        </div>
      )}
      <button type="submit" className="primary">
        Look it up
      </button>
    </form>
  );
}
