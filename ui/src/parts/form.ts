import type { UseFormReturnType } from '@mantine/form';
import { type Problem, problemOf } from '../api/problem';

/**
 * Puts what the server found wrong onto the form's fields and returns what is about none of them, for the
 * form to show as a whole; '' when every fault found its field. Nothing of a lost session is shown: the
 * sign-in dialog says it.
 */
export function showProblem<V extends Record<string, unknown>>(form: UseFormReturnType<V>, error: unknown): string {
  const problem = problemOf(error);
  if (problem.status === 401 && problem.code !== 'wrong_credentials') return '';
  const { fields, rest } = sort(problem, Object.keys(form.getValues()));
  form.setErrors(fields);
  return rest;
}

/** Which of a problem's faults belong to which of these fields. `numbers[3]` belongs to `numbers`. */
export function sort(problem: Problem, names: string[]): { fields: Record<string, string>; rest: string } {
  const fields: Record<string, string> = {};
  const rest: string[] = problem.faults.length === 0 ? [problem.message] : [];
  for (const fault of problem.faults) {
    const name = names.find(
      (n) => fault.field === n || fault.field.startsWith(`${n}[`) || fault.field.startsWith(`${n}.`),
    );
    if (name === undefined) rest.push(fault.field ? `${fault.field}: ${fault.message}` : fault.message);
    else fields[name] = fields[name] ? `${fields[name]} ${fault.message}` : fault.message;
  }
  return { fields, rest: rest.join(' ') };
}
