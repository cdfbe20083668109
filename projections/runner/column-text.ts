import { assertNever } from '../../src/kernel/assert-never';
import { storableJson, storableText } from '../storable';
import { baseType, type BaseType, type ColumnType } from '../projection';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * The values of one column as the text of a Postgres array. Written by hand, because it is on the path of every
 * row and the driver's general way costs more than the database does.
 * @throws TypeError for a value that is not of the type: the event it came from is broken
 */
export function arrayLiteral(type: ColumnType, values: readonly unknown[]): string {
  const base = baseType(type);
  const write = isFreeText(base) ? quoted : plain;
  const elements = values.map((value) => (isNull(type, value) ? 'NULL' : write(textOf(base, value))));
  return `{${elements.join(',')}}`;
}

/**
 * What makes one column's fields of COPY's text format; made once, called for every row.
 * @throws TypeError (what it returns does) as {@link arrayLiteral} does
 */
export function copyFields(type: ColumnType): (value: unknown) => string {
  const base = baseType(type);
  const write = isFreeText(base) ? escaped : plain;
  return (value) => (isNull(type, value) ? '\\N' : write(textOf(base, value)));
}

/** @throws TypeError for nothing where something has to be */
function isNull(type: ColumnType, value: unknown): boolean {
  if (value !== null && value !== undefined) return false;
  if (baseType(type) === type) throw new TypeError(`nothing where ${type} is needed`);
  return true;
}

/** All others consist of digits, letters and hyphens, whatever the event says. */
const isFreeText = (type: BaseType): boolean => type === 'text' || type === 'jsonb';

function textOf(type: BaseType, value: unknown): string {
  switch (type) {
    case 'uuid':
      if (typeof value === 'string' && UUID.test(value)) return value;
      break;
    case 'bigint':
    case 'integer':
      if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
      break;
    case 'boolean':
      if (typeof value === 'boolean') return value ? 't' : 'f';
      break;
    case 'text':
      if (typeof value === 'string') return storableText(value);
      break;
    case 'jsonb':
      return storableJson(value);
    default:
      return assertNever(type);
  }
  throw new TypeError(`not of type ${type}: ${JSON.stringify(value)}`);
}

const plain = (text: string): string => text;
const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

const COPY_ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};
const TO_ESCAPE = /[\\\n\r\t]/;
const escaped = (text: string): string =>
  TO_ESCAPE.test(text)
    ? text.replace(/[\\\n\r\t]/g, (character) => COPY_ESCAPES[character] ?? character)
    : text;
