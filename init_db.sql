-- The warehouse: roles, schemas and grants. Safe to run again: it creates what is missing,
-- and brings passwords and rights to what stands here.
--
--   psql --dbname warehouse --file init_db.sql      (as a superuser)
--
-- The passwords come from the environment (LOADER_PASSWORD, TRANSFORMER_PASSWORD,
-- REPORTER_PASSWORD): never from this file, and never from a command line, which `ps` shows.
--
--   role         raw            staging, marts, audit
--   loader       writes         -
--   transformer  reads          writes
--   reporter     -              reads

\set ON_ERROR_STOP on
\set QUIET on
set client_min_messages = warning;

\getenv loader_password LOADER_PASSWORD
\getenv transformer_password TRANSFORMER_PASSWORD
\getenv reporter_password REPORTER_PASSWORD
\if :{?loader_password} \else
  do $$ begin raise exception 'LOADER_PASSWORD is not set: run "make env", which writes it to .env'; end $$;
\endif
\if :{?transformer_password} \else
  do $$ begin raise exception 'TRANSFORMER_PASSWORD is not set: run "make env", which writes it to .env'; end $$;
\endif
\if :{?reporter_password} \else
  do $$ begin raise exception 'REPORTER_PASSWORD is not set: run "make env", which writes it to .env'; end $$;
\endif

begin;

-- Two starts at the same time take turns.
select pg_advisory_xact_lock(hashtext('init_db.sql')) \g /dev/null

-- Roles -------------------------------------------------------------------------------------

do $$
declare
    role_name text;
begin
    foreach role_name in array array['loader', 'transformer', 'reporter'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I', role_name);
        end if;
    end loop;
end
$$;

-- The statements below carry passwords: none of them may reach the server's log.
set local log_statement = 'none';
set local log_min_duration_statement = -1;
set local log_min_error_statement = 'panic';

alter role loader with login nosuperuser nocreatedb nocreaterole noreplication password :'loader_password';
alter role transformer with login nosuperuser nocreatedb nocreaterole noreplication password :'transformer_password';
alter role reporter with login nosuperuser nocreatedb nocreaterole noreplication password :'reporter_password';

-- Dates and times mean the same to everyone, wherever the client runs.
alter role loader set timezone = 'UTC';
alter role transformer set timezone = 'UTC';
alter role reporter set timezone = 'UTC';
-- A statement whose client was killed ends within seconds, and gives back its locks: by itself the
-- server looks for the client only when it has something to send.
alter role loader set client_connection_check_interval = '5s';
alter role transformer set client_connection_check_interval = '5s';
alter role reporter set client_connection_check_interval = '5s';
-- A second fence: the grants below already let reporter do nothing but read.
alter role reporter set default_transaction_read_only = on;

-- A client that is gone without a word (its machine, the network) is given up after a minute, with
-- its locks: by itself the server asks after two hours.
alter role loader set tcp_keepalives_idle = 30;
alter role loader set tcp_keepalives_interval = 10;
alter role loader set tcp_keepalives_count = 3;
alter role transformer set tcp_keepalives_idle = 30;
alter role transformer set tcp_keepalives_interval = 10;
alter role transformer set tcp_keepalives_count = 3;

-- Schemas -----------------------------------------------------------------------------------

create schema if not exists raw;
create schema if not exists staging;
create schema if not exists marts;
create schema if not exists audit;

comment on schema raw is 'What the files said, as text, written by the loader';
comment on schema staging is 'Parsed and typed, one row per transaction, written by dbt';
comment on schema marts is 'What the dashboard reads, written by dbt';
comment on schema audit is 'Failing rows and the history of test results, written by dbt';

-- Grants ------------------------------------------------------------------------------------

-- Nobody has a right by default: not to connect, not to make temporary tables, not to `public`.
do $$
begin
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to loader, transformer, reporter', current_database());
    execute format('grant temporary on database %I to loader, transformer', current_database());
end
$$;
revoke all on schema public from public;
-- Nobody makes functions: one behind a view or a trigger would run with the rights of whoever
-- reads or writes there, so that the loader's password could do what transformer's can.
revoke usage on language sql, plpgsql from public;

grant usage, create on schema raw to loader;
grant usage on schema raw to transformer;
grant usage, create on schema staging, marts, audit to transformer;
grant usage on schema staging, marts, audit to reporter;

-- For the tables that are there, and for those that the loader and dbt will create.
grant select on all tables in schema raw to transformer;
grant select on all tables in schema staging, marts, audit to reporter;
alter default privileges for role loader in schema raw grant select on tables to transformer;
alter default privileges for role transformer in schema staging grant select on tables to reporter;
alter default privileges for role transformer in schema marts grant select on tables to reporter;
alter default privileges for role transformer in schema audit grant select on tables to reporter;

commit;
