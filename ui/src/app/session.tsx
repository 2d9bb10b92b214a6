import { Anchor, Center, Loader, Modal, Text } from '@mantine/core';
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react';
import { api, client, onSessionLost, queries } from '../api/client';
import type { components } from '../api/schema';
import { SignInForm } from '../pages/sign-in';
import { Outside } from '../parts/outside';
import { Failed } from '../parts/states';

type Session = components['schemas']['Session'];

const Signed = createContext<Session | undefined>(undefined);

/** Whoever is signed in. */
export function useAccount() {
  const session = useContext(Signed);
  if (!session) throw new Error('useAccount stands outside of SessionGate');
  return session.account;
}

/** What whoever is signed in may do: `may('campaigns.run')`. The server decides; this only hides what it would refuse. */
export function useMay(): (permission: string) => boolean {
  const session = useContext(Signed);
  return (permission) => session?.may.includes(permission) ?? false;
}

/** What is there only for who has a permission. */
export function Can({ do: permission, children }: { do: string; children: ReactNode }) {
  return useMay()(permission) ? children : null;
}

const session = api.queryOptions('get', '/session');

/** Puts a changed account where the panel keeps it. */
export function changeAccount(change: Partial<Session['account']>) {
  queries.setQueryData<Session>(session.queryKey, (old) => old && { ...old, account: { ...old.account, ...change } });
}

/** Ends the session and forgets everything the page knows. */
export async function signOut() {
  await client.DELETE('/session');
  location.assign('/');
}

/**
 * Lets nobody see the panel who is not signed in. Whose session ends while the page is open signs in again in
 * a dialog over it: nothing that was typed is lost.
 */
export function SessionGate({ children }: { children: ReactNode }) {
  const query = api.useQuery('get', '/session', undefined, { staleTime: Number.POSITIVE_INFINITY });
  const [lost, setLost] = useState(false);
  useEffect(() => onSessionLost(() => setLost(true)), []);

  function enter(entered: Session) {
    const before = queries.getQueryData<Session>(session.queryKey);
    if (before && before.account.id !== entered.account.id) return location.reload(); // nothing of the one before stays
    queries.setQueryData(session.queryKey, entered);
    setLost(false);
    if (before) void queries.invalidateQueries({ predicate: (q) => q.queryKey[1] !== '/session' });
  }

  if (query.data) {
    return (
      <Signed.Provider value={query.data}>
        {children}
        <Modal
          opened={lost}
          onClose={() => undefined}
          withCloseButton={false}
          closeOnEscape={false}
          closeOnClickOutside={false}
          title="Sign in again"
          centered
          zIndex={500}
        >
          <Text size="sm" c="dimmed" mb="md">
            Your session has ended. What you have typed is still here.
          </Text>
          <SignInForm email={query.data.account.email} entered={enter} />
        </Modal>
      </Signed.Provider>
    );
  }
  if (query.isPending) {
    return (
      <Center h="100dvh">
        <Loader color="gray" size="sm" aria-label="Loading" />
      </Center>
    );
  }
  if (query.error.status !== 401) {
    return (
      <main>
        <Failed level={1} error={query.error} retry={() => void query.refetch()} />
      </main>
    );
  }
  return (
    <Outside title="Sign in to Lastcall">
      <SignInForm entered={enter} />
      <Anchor href="/reset" size="sm" mt="md" display="inline-block">
        Forgot password?
      </Anchor>
    </Outside>
  );
}
