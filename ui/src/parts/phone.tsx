import type { ReactNode } from 'react';
import type { components } from '../api/schema';

type Template = components['schemas']['Template'];

/** How a message looks on a phone, its variables filled with their examples and marked. */
export function Phone({ template, locale }: { template: Template; locale: string }) {
  return (
    <figure className="phone" aria-label={`Preview, ${locale}`}>
      <div className="phone-screen">
        {template.header_media && <div className="phone-media">{template.header_media}</div>}
        <p className="phone-message" lang={locale}>
          {filled(template, template.texts[locale] ?? '')}
        </p>
      </div>
    </figure>
  );
}

/** The text with every {{variable}} replaced by its example. */
function filled(template: Template, text: string): ReactNode[] {
  return text.split(/(\{\{[^}]*\}\})/).map((part, i) => {
    const name = /^\{\{\s*([^}\s]*)\s*\}\}$/.exec(part)?.[1];
    const example = template.variables.find((v) => v.name === name)?.example;
    return example === undefined ? part : <mark key={`${i}-${name}`}>{example}</mark>;
  });
}
