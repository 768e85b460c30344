// The small parts that every view is made of.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { printable } from './text';

/** Text that a device or an owner sent. */
export function Sent({ text }: { text: string | undefined }) {
  return <bdi>{printable(text ?? '')}</bdi>;
}

type ButtonProps = {
  children: ComponentChildren;
  onClick?: () => void;
  kind?: 'primary' | 'danger' | 'plain';
  type?: 'button' | 'submit';
  disabled?: boolean;
  label?: string;
  expanded?: boolean;
};

export function Button({ children, onClick, kind, type = 'button', disabled, label, expanded }: ButtonProps) {
  const more: JSX.IntrinsicElements['button'] = {};
  if (label !== undefined) more['aria-label'] = label;
  if (expanded !== undefined) more['aria-expanded'] = expanded;
  if (disabled) more.disabled = true;
  if (onClick) more.onClick = onClick;
  return (
    <button type={type} class={kind ?? 'plain'} {...more}>
      {children}
    </button>
  );
}

/** A button that asks once more before it acts. */
export function Confirmed({ children, question, onConfirm }: {
  children: ComponentChildren;
  question: string;
  onConfirm: () => void;
}) {
  const [asked, ask] = useState(false);
  const group = useRef<HTMLSpanElement>(null);
  useLayoutEffect(() => { if (asked) group.current?.focus(); }, [asked]);
  if (!asked) return <Button onClick={() => ask(true)}>{children}</Button>;
  return (
    <span class="confirm" role="group" aria-label={question} ref={group} tabIndex={-1}>
      <span>{question}</span>
      <Button kind="danger" onClick={() => { ask(false); onConfirm(); }}>Yes</Button>
      <Button onClick={() => ask(false)}>No</Button>
    </span>
  );
}

type FieldProps = { label: string; hint?: string; children: (id: string, hintId: string | undefined) => ComponentChildren };

/** A control with its label, and a hint that belongs to it. */
export function Field({ label, hint, children }: FieldProps) {
  const id = useId();
  const hintId = hint === undefined ? undefined : `${id}-hint`;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children(id, hintId)}
      {hint !== undefined && <p class="hint" id={hintId}>{hint}</p>}
    </div>
  );
}

type TextProps = {
  label: string;
  value: string;
  onInput: (value: string) => void;
  hint?: string;
  type?: 'text' | 'search' | 'number';
  required?: boolean;
  readOnly?: boolean;
  rows?: number;
  min?: number;
  max?: number;
};

export function TextField({ label, value, onInput, hint, type = 'text', required, readOnly, rows, min, max }: TextProps) {
  return (
    <Field label={label} {...(hint === undefined ? {} : { hint })}>
      {(id, hintId) => {
        const shared = {
          id, value, required: required === true, readOnly: readOnly === true, autocomplete: 'off', spellcheck: false,
          ...(hintId === undefined ? {} : { 'aria-describedby': hintId }),
        };
        if (rows !== undefined) {
          return <textarea {...shared} rows={rows} onInput={(event) => onInput(event.currentTarget.value)} />;
        }
        const range = { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
        return <input {...shared} {...range} type={type as 'text'} onInput={(event) => onInput(event.currentTarget.value)} />;
      }}
    </Field>
  );
}

export function SelectField({ label, value, options, onChange, hint }: {
  label: string;
  value: string;
  options: readonly (readonly [value: string, text: string])[];
  onChange: (value: string) => void;
  hint?: string;
}) {
  return (
    <Field label={label} {...(hint === undefined ? {} : { hint })}>
      {(id, hintId) => (
        <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value)}
          {...(hintId === undefined ? {} : { 'aria-describedby': hintId })}>
          {options.map(([key, text]) => <option key={key} value={key}>{text}</option>)}
        </select>
      )}
    </Field>
  );
}

export function CheckField({ label, checked, onChange }: {
  label: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
}) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} /> {label}
    </label>
  );
}

/** Names with their values; values that are missing are left out. */
export function Facts({ facts }: { facts: readonly (readonly [name: string, value: ComponentChildren])[] }) {
  const present = facts.filter(([, value]) => value !== undefined && value !== null && value !== '');
  if (present.length === 0) return null;
  return (
    <dl class="facts">
      {present.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{typeof value === 'string' ? <Sent text={value} /> : value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** What went wrong, read out at once. */
export function Problem({ message }: { message: string | undefined }) {
  return message === undefined ? null : <p class="problem" role="alert">{printable(message)}</p>;
}

/** Copies text, and confirms it. */
export function Copy({ text, label }: { text: string; label: string }) {
  const [result, setResult] = useState('');
  const copy = () => {
    navigator.clipboard.writeText(text).then(
      () => setResult('Copied'),
      () => setResult('Not copied: select the text instead'),
    );
  };
  useEffect(() => setResult(''), [text]);
  return (
    <span class="copy">
      <Button onClick={copy} label={label}>Copy</Button>
      <span role="status">{result}</span>
    </span>
  );
}

/** The heading of a view, which receives the focus when the view is opened, so that a screen reader reads it. */
export function Heading({ children }: { children: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return <h1 ref={heading} tabIndex={-1}>{children}</h1>;
}

/** The heading of what is opened beside a list, with the button that closes it. It receives the focus too. */
export function PanelTitle({ children, onClose }: { children: ComponentChildren; onClose: () => void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <div class="title">
      <h2 ref={heading} tabIndex={-1}>{children}</h2>
      <Button onClick={onClose}>Close</Button>
    </div>
  );
}

/** Returns the focus to the list when what was open beside it is closed, before a next key can be pressed. */
export function useFocusBack(isOpen: boolean): void {
  const was = useRef(isOpen);
  useLayoutEffect(() => {
    if (was.current && !isOpen) document.querySelector<HTMLElement>('[role=grid]')?.focus();
    was.current = isOpen;
  }, [isOpen]);
}
