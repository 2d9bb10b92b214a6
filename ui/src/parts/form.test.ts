import { expect, test } from 'vitest';
import { Problem } from '../api/problem';
import { sort } from './form';

test('faults find their fields, and the rest is told as a whole', () => {
  const problem = new Problem(
    {
      code: 'invalid',
      detail: '3 things are wrong',
      errors: [
        { code: 'no_name', field: 'name', detail: 'a campaign needs a name' },
        { code: 'bad_number', field: 'numbers[2]', detail: 'this is no phone number' },
        { code: 'gone', field: 'template', detail: 'there is no such template' },
      ],
    },
    422,
  );
  expect(sort(problem, ['name', 'numbers'])).toEqual({
    fields: { name: 'A campaign needs a name.', numbers: 'This is no phone number.' },
    rest: 'template: There is no such template.',
  });
});

test('a problem about no field is told as a whole, with its reference', () => {
  const problem = new Problem({ detail: 'cannot pause: it is done' }, 409, new Headers({ 'X-Request-Id': 'r-1' }));
  expect(sort(problem, ['name'])).toEqual({ fields: {}, rest: 'Cannot pause: it is done.' });
  expect(problem.reference).toBe('r-1');
});
