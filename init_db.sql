-- Create the roles, schemas and grants of the warehouse. You can run this script again at any time: it
-- creates missing objects, and sets all passwords and grants again.
--
--   psql --dbname warehouse --file init_db.sql      (as a superuser)
--
-- The passwords come from the environment variables LOADER_PASSWORD, TRANSFORMER_PASSWORD and
-- REPORTER_PASSWORD, because `ps` would show passwords on a command line.
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

-- Serialise concurrent runs, such as two starts of the stack at the same time.
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

-- The next statements contain passwords, so keep them out of the server's log.
set local log_statement = 'none';
set local log_min_duration_statement = -1;
set local log_min_error_statement = 'panic';

alter role loader with login nosuperuser nocreatedb nocreaterole noreplication password :'loader_password';
alter role transformer with login nosuperuser nocreatedb nocreaterole noreplication password :'transformer_password';
alter role reporter with login nosuperuser nocreatedb nocreaterole noreplication password :'reporter_password';

-- Show times in UTC to every client, whatever its own time zone is.
alter role loader set timezone = 'UTC';
alter role transformer set timezone = 'UTC';
alter role reporter set timezone = 'UTC';
-- Cancel the statement of a killed client within seconds, so that its locks are released. By default,
-- the server notices a closed connection only when the server sends data.
alter role loader set client_connection_check_interval = '5s';
alter role transformer set client_connection_check_interval = '5s';
alter role reporter set client_connection_check_interval = '5s';
-- Defence in depth: the grants below already limit reporter to reading.
alter role reporter set default_transaction_read_only = on;

-- After a failure of the client's machine or network, close the connection within a minute, so that its
-- locks are released. With the defaults of most systems, this takes more than two hours.
alter role loader set tcp_keepalives_idle = 30;
alter role loader set tcp_keepalives_interval = 10;
alter role loader set tcp_keepalives_count = 3;
alter role transformer set tcp_keepalives_idle = 30;
alter role transformer set tcp_keepalives_interval = 10;
alter role transformer set tcp_keepalives_count = 3;

-- Sort the entries of an index on millions of rows in memory, not in temporary files. The DAG runs one
-- task at a time, and a task builds at most DBT_THREADS indexes at once.
alter role loader set maintenance_work_mem = '256MB';
alter role transformer set maintenance_work_mem = '256MB';

-- Schemas -----------------------------------------------------------------------------------

create schema if not exists raw;
create schema if not exists staging;
create schema if not exists marts;
create schema if not exists audit;

comment on schema raw is 'The values of the files as text, written by the loader';
comment on schema staging is 'Parsed and typed, one row per transaction, written by dbt';
comment on schema marts is 'The tables and views of the dashboard, written by dbt';
comment on schema audit is 'Failing rows and the history of test results, written by dbt';

-- Grants ------------------------------------------------------------------------------------

-- Postgres gives every role the rights to connect, to create temporary tables and to use the schema
-- `public`. Revoke these rights, and grant only the necessary ones.
do $$
begin
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to loader, transformer, reporter', current_database());
    execute format('grant temporary on database %I to loader, transformer', current_database());
end
$$;
revoke all on schema public from public;
-- No role may create functions. A function in a view or trigger runs with the rights of the role that
-- uses the view or table. With a function in one of its tables, loader could act as transformer.
revoke usage on language sql, plpgsql from public;

grant usage, create on schema raw to loader;
grant usage on schema raw to transformer;
grant usage, create on schema staging, marts, audit to transformer;
grant usage on schema staging, marts, audit to reporter;

-- Grant read access to existing tables, and to tables that the loader and dbt will create.
grant select on all tables in schema raw to transformer;
grant select on all tables in schema staging, marts, audit to reporter;
alter default privileges for role loader in schema raw grant select on tables to transformer;
alter default privileges for role transformer in schema staging grant select on tables to reporter;
alter default privileges for role transformer in schema marts grant select on tables to reporter;
alter default privileges for role transformer in schema audit grant select on tables to reporter;

commit;
