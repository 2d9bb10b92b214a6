/** The mark: the bell that a bar rings for last orders. */
export function Bell({ size = 24 }: { size?: number }) {
  return (
    <svg viewBox="0 0 24 24" width={size} height={size} aria-hidden="true" focusable="false">
      <rect width="24" height="24" rx="6" fill="#0B0D17" />
      <rect x=".5" y=".5" width="23" height="23" rx="5.5" fill="none" stroke="#F2A33A" strokeOpacity=".35" />
      <path
        d="M6 16.5h12M7.2 16.5c0-4.1 1.7-7.2 4.8-7.2s4.8 3.1 4.8 7.2M12 9.3V7.2M10.7 6.6h2.6M4.9 18.7h14.2"
        fill="none"
        stroke="#F2A33A"
        strokeWidth="1.6"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}
