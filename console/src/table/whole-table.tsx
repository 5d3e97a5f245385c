import type { ComponentChildren } from "preact";
import { useQuery } from "../lib/query";
import type { Resource } from "../lib/resource";
import { parseSort, sorted, type Column } from "./columns";
import { Table } from "./table";

/** A table over a list that comes whole: it is searched and sorted here. */
export function WholeTable<Row>(props: {
  resource: Resource<Row[]>;
  noun: string;
  columns: Column<Row>[];
  idOf: (row: Row) => string;
  hrefOf?: (row: Row) => string;
  /** What `q` looks for. */
  textOf?: (row: Row) => string;
  empty: ComponentChildren;
  /** Shown instead of `empty` where filters left nothing. */
  nothing?: ComponentChildren;
}) {
  const query = useQuery();
  const wanted = query.get("q").toLowerCase();
  const { data, error, reload } = props.resource;
  const { textOf } = props;
  const found = (data ?? []).filter((row) => !wanted || !textOf || textOf(row).toLowerCase().includes(wanted));
  const rows = sorted(found, props.columns, parseSort(query.get("sort")));
  return (
    <Table
      noun={props.noun}
      columns={props.columns}
      rows={rows}
      idOf={props.idOf}
      {...(props.hrefOf && { hrefOf: props.hrefOf })}
      isLoading={data === undefined && error === undefined}
      error={error}
      retry={reload}
      empty={data && data.length > 0 ? props.nothing : props.empty}
    />
  );
}
