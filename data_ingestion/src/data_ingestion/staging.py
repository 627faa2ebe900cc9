"""Write the dbt files with which a declared source becomes part of staging.transactions.

The files are a start: the project owns them, and its people may change them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from data_ingestion.contracts import ACCOUNT, Contract
from data_ingestion.declarations import Constant, Field, Origin, Transaction, meaning
from data_ingestion.errors import InputError

IBAN = re.compile("[A-Z]{2}[0-9]{2}[A-Z0-9]{10,34}")  # an IBAN loses its blanks, as in dbt
VIEW = """\
-- The transactions of raw.{name}, read as its declaration in data_ingestion/sources says.
with source as (

    select * from {{{{ source('raw', '{name}') }}}}

),

texts as (

    select
        {texts}
    from source

),

parsed as (

    select
        {parsed}
    from texts

),

{signed}final as (

    select
        {final}
    from {last}

)

select * from final
"""
SIGNED = """\
signed as (

    select
        {signed}
    from parsed

),

"""
PROPERTIES = """\
sources:
  - name: raw
    tables:
      - name: {name}
        description: The rows of the files of this source, as text.

models:
  - name: stg_{name}
    description: >
      The transactions of raw.{name}, parsed and typed, with the columns of staging.transactions.
    config:
      materialized: view
      # The contract of staging.transactions holds for this view, too.
      contract: {{enforced: false}}
"""


def staging_files(declaration: Path) -> dict[str, str]:
    """Return the view of a source and its properties, by file name.

    Args:
        declaration: The YAML file of the source.

    Raises:
        InputError: The declaration has a mistake, or does not say what the columns mean.
    """
    contract, transaction, fields = meaning(declaration)
    if transaction is None:
        raise InputError(f"{declaration}: transaction: is missing, so staging cannot read the rows")
    model = _Model(contract, transaction, fields)
    parts = {
        "name": contract.table,
        "texts": _listed(model.texts()),
        "parsed": _listed(model.parsed()),
        "signed": SIGNED.format(signed=_listed(model.signed())) if transaction.amount else "",
        "final": _listed(model.final()),
        "last": "signed" if transaction.amount else "parsed",
    }
    return {
        f"stg_{contract.table}.sql": VIEW.format(**parts),
        f"stg_{contract.table}.yml": PROPERTIES.format(**parts),
    }


def _listed(expressions: Iterator[str]) -> str:
    return ",\n        ".join(expressions)


class _Model:
    """The select lists of the steps of a view."""

    def __init__(
        self, contract: Contract, transaction: Transaction, fields: dict[str, Field]
    ) -> None:
        self._contract, self._said, self._fields = contract, transaction, fields
        said = transaction
        self._dates = [role for role in ("transaction_date", "value_date") if getattr(said, role)]
        self._amounts = [
            role
            for role in ("amount", "withdrawal", "deposit", "balance")
            if getattr(said, role) is not None
        ]

    def texts(self) -> Iterator[str]:
        """Yield the plain texts of the columns, named by what they mean."""
        said = self._said
        if not isinstance(said.account_number, Origin):
            texts = [f"nullif({self._plain(column)}, '')" for column in said.account_number]
            first = texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"
            yield f"{first} as account_number_text"
        elif said.account_number.constant is None:
            yield f"{self._plain(ACCOUNT)} as account_number_text"
        for role in (*self._dates, *self._amounts):
            yield f"{self._plain(getattr(said, role))} as {role}_text"
        if said.indicator:
            yield f"{self._plain(said.indicator.field)} as indicator_text"
        if isinstance(said.currency, str):
            yield f"{self._plain(said.currency)} as currency_text"
        if said.details:
            columns = ", ".join(f"'{column}'" for column in said.details)
            yield f"{{{{ joined_details([{columns}]) }}}} as transaction_details"
        if said.reference:
            yield f"nullif({self._plain(said.reference)}, '') as cheque_number"
        yield from ("_row_hash", "_load_id", "_source_line")

    def _plain(self, column: str) -> str:
        """Return the expression of a column's plain text."""
        field = self._fields.get(column)
        missing = (
            f", {_quoted_list(field.missing_values)}" if field and field.missing_values else ""
        )
        return f"{{{{ plain_text('{column}'{missing}) }}}}"

    def parsed(self) -> Iterator[str]:
        """Yield the values of the texts."""
        said = self._said
        yield "*"
        if not self._account_constant():
            yield "{{ parse_declared_account('account_number_text') }} as account_number"
        for role in self._dates:
            form = self._fields[getattr(said, role)].format
            yield f"{{{{ parse_declared_date('{role}_text', {_quoted(str(form))}) }}}} as {role}"
        for role in self._amounts:
            field = self._fields[getattr(said, role)]
            group = _quoted(field.group_char) if field.group_char else "none"
            values = f"'{role}_text', '{field.decimal_char}', {group}, '{role}'"
            yield f"{{{{ parse_declared_amount({values}) }}}} as {role}"
        if isinstance(said.currency, str):
            yield "{{ parse_currency('currency_text') }} as currency"

    def signed(self) -> Iterator[str]:
        """Yield the amount that is negative in a withdrawal, if one column has all amounts."""
        said = self._said
        yield "*"
        if said.indicator:
            directions = said.indicator.withdrawal, said.indicator.deposit
            texts = ", ".join(_quoted_list(values) for values in directions)
            yield f"{{{{ signed_by('amount', 'indicator_text', {texts}) }}}} as net"
        else:
            yield "-amount as net" if said.inverted else "amount as net"

    def final(self) -> Iterator[str]:
        """Yield the columns of staging.transactions, in their order."""
        said, name = self._said, self._contract.table
        yield f"{{{{ transaction_id(\"'{name}'\", '_row_hash') }}}} as transaction_id"
        yield "transaction_date"
        yield "value_date" if said.value_date else "null::date as value_date"
        yield f"'{name}'::text as source"
        account = self._account_constant()
        literal = f"{{{{ text_literals([{_quoted(account)}]) }}}}" if account else ""
        yield f"{literal}::text as account_number" if account else "account_number"
        if isinstance(said.currency, Constant):
            yield f"'{said.currency.constant}'::text as currency"
        else:
            yield "currency" if said.currency else "null::text as currency"
        yield "transaction_details" if said.details else "null::text as transaction_details"
        yield "cheque_number" if said.reference else "null::text as cheque_number"
        yield from self._final_amounts()
        yield self._unparsed()
        yield from ("_load_id", "_source_line")

    def _account_constant(self) -> str | None:
        said = self._said.account_number
        if not isinstance(said, Origin) or said.constant is None:
            return None
        bare = re.sub(r"\s", "", said.constant)
        return bare if IBAN.fullmatch(bare) else said.constant

    def _final_amounts(self) -> Iterator[str]:
        said = self._said
        if said.amount:
            # A row without an amount still has a balance.
            net = "coalesce(net, case when amount_text in ('', '-') then 0 end)"
            yield "{{ withdrawal_of('net') }} as withdrawal_amount"
            yield "{{ deposit_of('net') }} as deposit_amount"
        else:
            withdrawal = "-withdrawal" if said.inverted is True else "withdrawal"
            deposit = "-deposit" if said.inverted == "deposit" else "deposit"
            yield f"{{{{ withdrawal_beside('{withdrawal}', '{deposit}') }}}} as withdrawal_amount"
            yield f"{{{{ deposit_beside('{withdrawal}', '{deposit}') }}}} as deposit_amount"
            net = f"coalesce({deposit}, 0) - coalesce({withdrawal}, 0)"
        if not said.balance:
            yield "null::numeric(18, 2) as balance_amount"
        elif said.balance_is == "before":
            yield f"(balance + {net})::numeric(18, 2) as balance_amount"
        else:
            yield "balance as balance_amount"

    def _unparsed(self) -> str:
        """Return the expression of the texts that could not be parsed."""
        said = self._said
        names = [*self._dates, *self._amounts]
        if not self._account_constant():
            names.insert(0, "account_number")
        if isinstance(said.currency, str):
            names.append("currency")
        # An amount whose indicator is unknown has no meaning, either.
        values = {name: "net" if name == "amount" else name for name in names}
        columns = [f"'{name}': ('{values[name]}', '{name}_text')" for name in names]
        dashes = ", ".join(f"'{role}'" for role in self._amounts)
        inner = "".join(f"            {column},\n" for column in columns)
        return f"{{{{ unparsed_values({{\n{inner}        }}, dashes=[{dashes}]) }}}} as _unparsed"


def _quoted_list(texts: list[str]) -> str:
    """Return texts as a list of Jinja."""
    return "[" + ", ".join(map(_quoted, texts)) + "]"


def _quoted(text: str) -> str:
    """Return a text as a literal of Jinja."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
