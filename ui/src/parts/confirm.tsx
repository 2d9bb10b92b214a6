import { Button, List, Modal, Stack, Text, Textarea } from '@mantine/core';
import { createContext, type FormEvent, type ReactNode, useCallback, useContext, useRef, useState } from 'react';
import { problemOf } from '../api/problem';
import { FormEnd } from './form-end';

export type Question = {
  /** What is asked: "Stop “Friday jazz”?" */
  title: string;
  /** What will happen, each a sentence. With numbers, where there are any. */
  impact: string[];
  /** More than sentences. While it holds, the button waits: something has to be agreed to first. */
  details?: (hold: (on: boolean) => void) => ReactNode;
  /** Whether somebody must, may or need not say why. */
  reason?: 'required' | 'optional';
  /** The verb of the button: "Stop campaign". */
  action: string;
  /** It cannot be undone: the button is red. */
  final?: boolean;
  /** Does it. The dialog stays open, with what went wrong, if it fails: use a mutation with meta inPlace. */
  run: (reason: string) => Promise<unknown>;
};

const Ask = createContext<(question: Question) => void>(() => undefined);

/** Asks before something that matters: `const ask = useConfirm(); ask({ title, impact, action, run })`. */
export const useConfirm = () => useContext(Ask);

export function ConfirmProvider({ children }: { children: ReactNode }) {
  const [question, setQuestion] = useState<Question>();
  const [opened, setOpened] = useState(false);
  const ask = useCallback((q: Question) => {
    setQuestion(q);
    setOpened(true);
  }, []);
  return (
    <Ask.Provider value={ask}>
      {children}
      <Modal
        opened={opened}
        onClose={() => setOpened(false)}
        title={question?.title}
        size={question?.details ? 'lg' : undefined}
        centered
        zIndex={300} // over a drawer that asks: it opened later
      >
        {question && <Answer key={String(opened)} question={question} close={() => setOpened(false)} />}
      </Modal>
    </Ask.Provider>
  );
}

function Answer({ question, close }: { question: Question; close: () => void }) {
  const [reason, setReason] = useState('');
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState('');
  const going = useRef(false); // a double click comes before the button is seen to be busy
  const [held, setHeld] = useState(false);
  const missing = held || (question.reason === 'required' && reason.trim() === '');

  async function submit(event: FormEvent) {
    event.preventDefault();
    if (going.current || missing) return;
    going.current = true;
    setBusy(true);
    setFailure('');
    try {
      await question.run(reason.trim());
      close();
    } catch (error) {
      if (problemOf(error).status !== 401) setFailure(problemOf(error).message);
    } finally {
      going.current = false;
      setBusy(false);
    }
  }

  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        {question.impact.length === 1 ? (
          <Text size="sm">{question.impact[0]}</Text>
        ) : (
          <List size="sm" spacing={4}>
            {question.impact.map((s) => (
              <List.Item key={s}>{s}</List.Item>
            ))}
          </List>
        )}
        {question.details?.(setHeld)}
        {question.reason && (
          <Textarea
            label="Reason"
            description="It goes into the audit log."
            withAsterisk={question.reason === 'required'}
            value={reason}
            onChange={(e) => setReason(e.currentTarget.value)}
            maxLength={500}
            autosize
            minRows={2}
            data-autofocus
          />
        )}
        <FormEnd failure={failure} close={close} cautious={!question.reason}>
          {/* White on a lighter red would be too faint. */}
          <Button type="submit" color={question.final ? 'red.9' : undefined} loading={busy} disabled={missing}>
            {question.action}
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}
