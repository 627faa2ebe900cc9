{#
    Parse the text of a date as its source declares it. A text that does not have the declared form, or
    a day that does not exist, becomes null. No text raises an error.

    A day or a month may lack its leading zero if a separator stands beside it. A month in words may
    have any of the languages of `months_in_words`. Two-digit years follow the rule of Postgres: 00-69
    are 2000-2069, and 70-99 are 1970-1999. A time or a dot behind the date is ignored.

    Postgres evaluates a function in `from` once. In `select`, it would evaluate the regular expression
    again at each use of the result.

    Args:
        text: SQL expression of the plain text (see `plain_text`).
        format: the parts of the date, such as `%d.%m.%Y` or `%b %d, %y`.
#}
{% macro parse_declared_date(text, format) -%}
{%- set pieces = format.split('%') -%}
{%- set pattern, positions = [literal_pattern(pieces[0])], {} -%}
{%- for piece in pieces[1:] -%}
    {%- set code = piece[0] -%}
    {%- set is_joined = (piece | length == 1 and not loop.last)
        or (not loop.first and loop.previtem | length == 1) -%}
    {%- do positions.update({code | lower: loop.index}) -%}
    {%- if code == 'b' -%}
        {%- do pattern.append('([^0-9[:space:][:punct:]]+)[.]?') -%}
    {%- elif code == 'Y' -%}
        {%- do pattern.append('([0-9]{4})') -%}
    {%- else -%}
        {%- do pattern.append('([0-9]{2})' if is_joined or code == 'y' else '([0-9]{1,2})') -%}
    {%- endif -%}
    {%- do pattern.append(literal_pattern(piece[1:])) -%}
{%- endfor -%}
{%- set regex = "^" ~ pattern | join ~ "[.]?(?:(?: +|, *|T|-)[0-9]{1,2}[:.][0-9]{2}.*)?$" -%}
(
            select case when pg_input_is_valid(day.iso, 'date') then day.iso::date end
            from regexp_match({{ text }}, '{{ regex | replace("'", "''") }}') as date (part)
            cross join lateral (
                select
                    {% if '%y' in format -%}
                    case when date.part[{{ positions.y }}] < '70' then '20' else '19' end ||
                    {%- endif %} date.part[{{ positions.y }}] || '-'
                    || {% if 'b' in positions -%}
                    ('{{ months_in_words() }}'::jsonb ->> date.part[{{ positions.b }}])
                    {%- else -%}
                    date.part[{{ positions.m }}]
                    {%- endif %} || '-' || date.part[{{ positions.d }}] as iso
            ) as day
        )
{%- endmacro %}

{#
    The number of each month as JSON, by its names in the languages of banks, which are full or short. Each
    name is there in lower case, in upper case, and with a capital letter.
#}
{% macro months_in_words() -%}
{%- set months = [
    'jan january januar jänner januari janvier janv enero ene gennaio gen janeiro styczeń'
    ~ ' stycznia sty sausio jaan jaanuar tammi tammikuu led leden ledna ocak oca январь января'
    ~ ' янв január ian ianuarie ~ sausis saus jän',
    'feb february februar februari février févr fevrier febrero febbraio fevereiro fev luty'
    ~ ' lutego lut vasario veebr veebruar helmi helmikuu únor února úno şubat şub февраль'
    ~ ' февраля фев február febr februarie ~ vasaris vas',
    'mar march märz maerz mrt maart mars marzo março marzec marca kovo märts maalis maaliskuu'
    ~ ' březen března bře mart март марта мар marec március márc martie mär ~ kovas kov maret',
    'apr april avril avr abril abr aprile kwiecień kwietnia kwi balandžio aprill huhti'
    ~ ' huhtikuu duben dubna dub nisan nis апрель апреля апр apríl április ápr aprilie ~'
    ~ ' balandis bal',
    'may mai mei maj mayo maggio mag maio maja gegužės touko toukokuu květen května kvě mayıs'
    ~ ' май мая máj május mája gegužė geg',
    'jun june juni juin junio giugno giu junho czerwiec czerwca cze birželio juuni kesä'
    ~ ' kesäkuu červen června čvn haziran haz июнь июня июн jún június iun iunie ~ birželis bir',
    'jul july juli juillet juil julio luglio lug julho lipiec lipca lip liepos juuli heinä'
    ~ ' heinäkuu červenec července čvc temmuz tem июль июля июл júl július iul iulie ~ liepa lie',
    'aug august augustus augusti août aout agosto ago agustus agu sierpień sierpnia sie'
    ~ ' rugpjūčio elo elokuu srpen srpna srp ağustos ağu август августа авг augusztus ~'
    ~ ' rugpjūtis rgp',
    'sep sept september septembre septiembre setiembre set settembre setembro wrzesień'
    ~ ' września wrz rugsėjo syys syyskuu září zář eylül eyl сентябрь сентября сен сент'
    ~ ' szeptember szept septembrie ~ rugsėjis rgs',
    'oct october okt oktober octobre octubre ottobre ott outubro out październik października'
    ~ ' paź spalio oktoober loka lokakuu říjen října říj ekim eki октябрь октября окт október'
    ~ ' octombrie ~ spalis spa',
    'nov november novembre noviembre novembro listopad listopada lis lapkričio marras'
    ~ ' marraskuu kasım kas ноябрь ноября ноя noiembrie listopadu ~ lapkritis lap',
    'dec december dez dezember décembre déc decembre diciembre dic dicembre dezembro desember'
    ~ ' des grudzień grudnia gru gruodžio dets detsember joulu joulukuu prosinec prosince pro'
    ~ ' aralık ara декабрь декабря дек decembrie desembre ~ det gruodis',
] -%}
{%- set numbers = {} -%}
{%- for names in months -%}
    {%- set month = loop.index -%}
    {%- for name in names.split() -%}
        {%- do numbers.update({name: month, name.upper(): month, name.capitalize(): month}) -%}
    {%- endfor -%}
{%- endfor -%}
{{ tojson(numbers) }}
{%- endmacro %}

{# The regular expression of the characters between the parts of a date. #}
{% macro literal_pattern(characters) -%}
{%- for character in characters -%}
    {%- if character == ' ' -%}
        [ \u00a0]+
    {%- else -%}
        {{ '\\' if character in '.,/-:;()[]{}*+?|^$\\"' }}{{ character }}
    {%- endif -%}
{%- endfor -%}
{%- endmacro %}
