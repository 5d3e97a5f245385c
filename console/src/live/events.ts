/** What the event stream tells, as far as the console looks at it. Fields it does not know it ignores. */
export interface SessionFacts {
  id: string;
  room: string | null;
  clients: { client: string; role: string }[];
  clientAddress: string;
  transport: string;
  region: string;
  username: string;
  startedAt: string;
}

export interface LiveEvent {
  id: string;
  type: string;
  at: string;
  session?: SessionFacts;
  room?: string | null;
  username?: string;
  reason?: string;
  clientAddress?: string;
}
