import type { components } from '../api/schema';

type Template = Pick<components['schemas']['Template'], 'texts' | 'variables' | 'headers' | 'footers' | 'header_media'>;

/**
 * How a message looks on a phone. A variable without a value for everybody shows its example, dotted: each recipient
 * gets their own.
 */
export function Phone({
  template,
  locale,
  values = {},
}: {
  template: Template;
  locale: string;
  values?: Record<string, string>;
}) {
  const text = template.texts[locale] ?? '';
  const shown = (name: string) => {
    const declared = template.variables.find((v) => v.name === name);
    return values[name]?.trim() || declared?.example || declared?.default || name;
  };
  return (
    <figure className="phone" aria-label={`Preview, ${locale}`}>
      <div className="phone-top" aria-hidden />
      <div className="bubble">
        {template.header_media && <div className="bubble-media">{template.header_media}</div>}
        {template.headers?.[locale] && (
          <p lang={locale} className="bubble-header">
            {template.headers[locale]}
          </p>
        )}
        <p lang={locale}>
          {text.split(/(\{\{[a-z][a-z0-9_]*\}\})/).map((piece, i) => {
            const name = /^\{\{(.*)\}\}$/.exec(piece)?.[1];
            if (!name) return piece;
            const own = !values[name]?.trim();
            return (
              <span key={i} data-own={own || undefined} title={own ? `Each recipient’s own ${name}` : name}>
                {shown(name)}
              </span>
            );
          })}
        </p>
        {template.footers?.[locale] && (
          <p lang={locale} className="bubble-footer">
            {template.footers[locale]}
          </p>
        )}
      </div>
    </figure>
  );
}
